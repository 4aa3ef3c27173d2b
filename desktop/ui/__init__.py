"""The window: widgets that show the state and hand on what the artist does. Decides nothing itself."""

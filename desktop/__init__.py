"""What the artist touches: the window, the command line and the session store."""

"""Observable state between engine and widgets: sessions, the running turn, models, settings. Knows no widget."""

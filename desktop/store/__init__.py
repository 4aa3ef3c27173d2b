"""Sessions on disk: SQLite and content-addressed pictures. No Qt."""

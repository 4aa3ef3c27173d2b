"""How the registry finds models: walks folders, reads headers and manifests. Reads no weights, imports no library."""

"""The embedded warehouse: fakesnow's server, kept on disk, one process per machine directory."""

"""The embedded warehouse: fakesnow's server with storage on disk, one process per directory."""

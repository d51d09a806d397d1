"""A completion's way from the mart to its endpoint: record, build, claim, send, settle."""

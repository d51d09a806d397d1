"""Delivers a completion from the mart to its endpoint: record, build, claim, send, settle."""

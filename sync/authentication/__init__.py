"""Secrets by name, and bearer tokens of endpoints that want one."""

"""Structured logs; metrics and traces as an extra."""

"""Tracking-log files into the raw tables."""

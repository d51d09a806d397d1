"""Operator actions as jobs."""

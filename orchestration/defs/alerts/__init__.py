"""Sensors that send alerts of failed runs and checks."""

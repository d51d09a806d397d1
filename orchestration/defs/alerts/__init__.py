"""Sensors that send alerts about failed runs and checks."""

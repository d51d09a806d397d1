"""Sensors that tell people of failed runs and checks."""

"""Detect, build, send: the assets, their checks and job, and the sensor that starts it."""

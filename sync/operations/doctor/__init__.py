"""Checks of a warehouse before the first run: ``ltw doctor``."""

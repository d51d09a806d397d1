"""The definitions, one folder per subject; Dagster loads each module below."""

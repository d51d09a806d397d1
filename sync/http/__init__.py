"""The guarded HTTP client: which targets are allowed, one vetted address, one deadline."""

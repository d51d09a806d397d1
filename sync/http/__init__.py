"""The guarded HTTP client: vetted addresses, one deadline, signatures, tokens and secrets."""

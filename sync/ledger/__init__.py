"""The ledger's tables, every statement that changes a webhook's state, and the crash journal."""

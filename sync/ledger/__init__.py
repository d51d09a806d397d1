"""Tables of the ledger and every statement that moves a webhook; the crash journal beside them."""

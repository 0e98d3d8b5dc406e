"""The ledger: what was received, what became of it, what was sent where."""

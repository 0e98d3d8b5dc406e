"""The ledger: what was received, what became of it, and what was sent where."""

"""Receives instances: header, spool, ledger, response."""

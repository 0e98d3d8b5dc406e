"""What is received: header, spool, ledger, answer."""

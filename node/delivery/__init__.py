"""Sends result objects to their destinations."""

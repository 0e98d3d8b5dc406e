"""Measurement reports (PS3.16 TID 1500)."""

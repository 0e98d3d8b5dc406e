"""Mammography CAD SR (PS3.16 TID 4000)."""

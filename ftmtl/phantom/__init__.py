"""Synthetic mammograms with exact truth."""

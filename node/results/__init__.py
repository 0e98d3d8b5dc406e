"""Findings become checked DICOM objects here, and a summary in JSON."""

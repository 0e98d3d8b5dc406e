"""Turns findings into checked DICOM objects and a JSON summary."""

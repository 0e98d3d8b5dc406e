"""DICOM pixels to one oriented, normalised mammogram, and the exact way back."""

"""From DICOM pixels to an oriented, normalised mammogram, with an exact mapping back."""

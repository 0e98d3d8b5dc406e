"""What the header of an image says: side and view, what kind of image it is, its grey scale, its pixel spacing."""

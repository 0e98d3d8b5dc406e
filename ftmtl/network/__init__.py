"""FT-MTL-Net, one part per file."""

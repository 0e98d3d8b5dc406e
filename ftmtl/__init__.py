"""FT-MTL-Net: detection, segmentation and classification of lesions on mammograms. Research use only."""

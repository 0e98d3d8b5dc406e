"""FT-MTL-Net, with one module per part of the network."""

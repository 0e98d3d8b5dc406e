"""Training and evaluation data behind one type, `Sample`: an image as the network sees it, and its truth."""

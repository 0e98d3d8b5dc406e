"""Variants of the network, trained over seeds and folds, and compared."""

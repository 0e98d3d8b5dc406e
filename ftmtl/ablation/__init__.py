"""Comparison of variants of the network, trained with several seeds or folds."""

"""Data sets for training and evaluation: readers with one interface, samples, splits and sampling."""

"""Evaluation of models on annotated images: metrics, intervals, reports, comparisons."""

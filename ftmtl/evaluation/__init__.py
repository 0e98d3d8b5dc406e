"""Evaluation: metrics stated whole, run over data sets, reported, and the ablation."""

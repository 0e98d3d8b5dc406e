"""Training: a recipe in, a run folder out. `train` assembles, `engine` loops."""

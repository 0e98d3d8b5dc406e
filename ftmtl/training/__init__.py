"""Training, from a recipe to the folder of a run: `train` sets it up, `engine` is the training loop."""

"""The one training loop, for every trainable method and task: recipes, batches, steps, validation, checkpoints."""

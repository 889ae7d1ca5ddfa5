"""Training: one trainer, and the recipes, sampling rules and processes it works with."""

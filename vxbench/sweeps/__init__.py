"""Collects the cells of a sweep over hyperparameters, and chooses among them."""

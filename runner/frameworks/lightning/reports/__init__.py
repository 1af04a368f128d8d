"""Callbacks and a logger that tell what happens at the edges of training."""

"""Training through PyTorch Lightning: Trainer, loop and callbacks."""

"""Chips that PyTorch cannot reach: one file per vendor."""

"""Stands in for the package of Habana's PyTorch bridge."""

"""Vendors' compilers that take a network of PyTorch as it is."""

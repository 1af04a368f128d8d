"""Engines that are PyTorch's own: the network runs in torch, on the case's device."""

"""Ports to MindSpore: its cells, under the names of the PyTorch originals' layers."""

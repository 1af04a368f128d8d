"""Bare loops of frameworks other than PyTorch, each as its own documentation writes one."""

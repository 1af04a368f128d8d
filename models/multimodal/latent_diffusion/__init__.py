"""Stable Diffusion v1: its parts as models of their own, and the whole of it."""

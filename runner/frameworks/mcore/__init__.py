"""Megatron-core: what it can honour, its process groups, its optimizer, its steps, its checkpoints."""

"""Stands in for a later torch_xmlir, which leaves `torch.cuda` to its own CUDA runtime and adds nothing to it."""

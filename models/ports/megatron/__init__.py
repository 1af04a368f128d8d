"""Ports to megatron-core: GPTModel with the sizes of the original, its weights cut to one rank's part."""

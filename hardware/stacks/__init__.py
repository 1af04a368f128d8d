"""What software stacks share: torch's device modules, CUDA-alikes, ROCm, inference engines."""

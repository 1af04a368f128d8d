"""The sampler process, its client, and the power trace it writes."""

"""Models in JAX, as modules of flax.nnx."""

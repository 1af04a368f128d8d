"""`framework=jax`: ports in flax.nnx, a compiled step, arrays that stay on the device."""

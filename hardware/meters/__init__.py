"""Things that read power, energy, temperature, clocks and memory. Read by the sampler process alone."""

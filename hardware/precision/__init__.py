"""What really runs in which type: plugins, probes, switches."""

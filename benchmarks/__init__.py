"""What the engine itself costs, measured against the same training without it."""

"""How each framework takes a training step."""

"""What `runner.compare` is given, as results."""

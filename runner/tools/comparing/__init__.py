"""The parts of `runner.compare`: its arguments, its gate, its baselines, its files."""

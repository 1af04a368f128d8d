"""What watches a training run: callbacks that hold state and emit events."""

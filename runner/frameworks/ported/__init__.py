"""What frameworks share whose models are ports of PyTorch ones: the same case, weights, data, schedule and metrics."""

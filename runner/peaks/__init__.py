"""What a device really reaches: matrix products, memory, copies and communication, measured on it."""

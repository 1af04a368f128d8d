"""What a model costs, counted on the meta device: parameters, operations, memory, traffic."""

"""A case on several machines: the runner is the head, and every node has an agent that starts its ranks."""

"""One node of a case on several machines: an agent that starts its ranks and sends on what they tell."""

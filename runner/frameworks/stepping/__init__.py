"""The training loop of frameworks that bring none of their own, and what it asks of them."""

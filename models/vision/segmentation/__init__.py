"""Networks that outline objects."""

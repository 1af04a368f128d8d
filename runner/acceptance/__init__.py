"""Acceptance of a delivered machine: every device runs the same short cases for a while, and is judged and ranked."""

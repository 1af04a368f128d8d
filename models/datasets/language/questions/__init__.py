"""Questions whose answers are pieces of a given text."""

"""Images and their annotations."""

"""Language models that fill in blanks."""

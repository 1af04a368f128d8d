"""The result of a case: its schema, its figures, its tables."""

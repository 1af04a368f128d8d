"""Language models that carry what they read from segment to segment."""

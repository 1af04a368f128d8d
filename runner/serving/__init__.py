"""A model that is served: built, compiled, held to its reference, and asked under a load. Knows no training."""

"""Which Python a case's ranks run in, and what that one has installed."""

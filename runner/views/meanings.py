"""What the figures of a report mean, those of other versions included."""

from runner.comparison.result import known

__all__ = ["known"]

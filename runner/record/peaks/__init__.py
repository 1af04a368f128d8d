"""Peaks that `runner.peaks` measured, as they are filed and found again."""

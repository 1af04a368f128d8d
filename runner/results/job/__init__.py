"""Figures of a job that come from each of its nodes."""

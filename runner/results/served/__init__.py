"""Figures of a served model."""

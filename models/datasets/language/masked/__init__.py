"""Texts with words masked."""

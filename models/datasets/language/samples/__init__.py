"""Texts that every machine has."""

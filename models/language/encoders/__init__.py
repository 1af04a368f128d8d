"""Encoders: networks that see a whole text at once."""

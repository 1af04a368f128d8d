"""Decoders: networks that are trained on the next token."""

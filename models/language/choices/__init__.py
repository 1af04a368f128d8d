"""Decoders that are only served: they choose one of several answers."""

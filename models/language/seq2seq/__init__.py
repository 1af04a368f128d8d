"""Encoder-decoders: networks that read one text and write another."""

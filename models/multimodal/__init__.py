"""Images and text together."""

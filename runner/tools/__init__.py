"""The commands beside `python -m runner`."""

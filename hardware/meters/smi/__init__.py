"""Vendors' command-line tools."""

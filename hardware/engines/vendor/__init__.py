"""Engines of chip vendors, written against their documented interfaces."""

"""Holds new results to a baseline, and knows the noise of the machine."""

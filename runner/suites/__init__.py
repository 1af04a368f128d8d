"""Sweeps and suites as a whole: what a sweep was asked for, and the score of a suite against a reference system."""

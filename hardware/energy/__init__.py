"""From samples and counters to joules. Pure functions."""

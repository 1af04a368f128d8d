"""The measuring core: window, segments, ranks, step records. Knows no framework."""

"""The report of one run or of a set, for terminals and as a page for browsers."""

"""One rank of one case, in a process of its own."""

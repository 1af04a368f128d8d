"""PopRT's Python interface, as far as ByteMLPerf and PopRT's examples use it, on the host."""

calls = []
failure = None

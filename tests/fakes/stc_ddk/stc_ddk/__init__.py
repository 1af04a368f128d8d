"""STC_DDK's Python interface, as far as its manual shows it, on the host."""

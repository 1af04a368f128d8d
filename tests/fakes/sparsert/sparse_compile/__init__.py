"""Moffett's compiler, as far as its public samples call it, on the host."""

calls = []
failure = []

"""Pairs of sentences: fairseq's files, dictionaries, and the way back from ids to text."""

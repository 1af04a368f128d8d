"""Engines: what turns a network into what runs. One module per compiler, its class called like it."""

"""The package that Moffett's compiler is installed with; nothing of it is called."""

"""What a run folder holds: its files, their forms, the names and units of figures."""

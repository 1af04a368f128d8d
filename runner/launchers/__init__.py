"""How the ranks of a case come to their nodes: by hand, by SLURM, by Ray."""

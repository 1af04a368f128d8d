"""What a machine is part of: SLURM, Ray, fast networks, and the other nodes of a job."""

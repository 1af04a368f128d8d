"""Planning on paper: memory and least step time of a training job, by how its devices share the work."""

"""Data of the workloads: samples made on any machine, synthetic batches, readers of the real on-disk formats."""

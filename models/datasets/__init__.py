"""Data of the models: samples made on any machine, synthetic batches, readers of the real on-disk formats."""

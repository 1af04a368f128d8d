"""The batch size with the highest throughput: a search over ordinary runs, by Optuna."""

"""What `runner.support` prints its tables from."""

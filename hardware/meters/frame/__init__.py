"""What meters of command-line tools share."""

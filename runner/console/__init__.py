"""What is shown while a case runs."""

"""What all readers and writers share."""

"""What can be done with a model on a device: one readable module each."""

"""What is on this machine: vendors, devices, meters; what is missing and what to do; whether a run would be alone."""

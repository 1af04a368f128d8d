"""What is run: workloads and their data. Knows no vendor; imports neither `runner` nor `hardware`."""

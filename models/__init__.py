"""What is run: implementations and their data. Knows no vendor; imports neither `runner` nor `hardware`."""

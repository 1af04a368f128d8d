"""What it runs on: vendors, meters, chips. Imports neither `runner` nor `models`."""

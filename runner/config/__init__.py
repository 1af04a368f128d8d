"""From the command line to a checked case: schema, composition, checks, explanations of bad input, divisions."""

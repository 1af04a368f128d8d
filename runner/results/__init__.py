"""From what a run left to its report: figures, repeats, publication rules."""

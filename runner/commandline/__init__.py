"""What people type: flags and overrides, their mistakes, and the explanations."""

"""Whether a result folder is what its report says, and whether it may be published."""

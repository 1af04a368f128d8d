"""Long runs of token ids on disk, and examples of the next token."""

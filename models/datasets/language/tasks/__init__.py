"""Questions with an answer that is right or wrong."""

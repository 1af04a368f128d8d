"""Speech into words, and what is learned on the way there."""

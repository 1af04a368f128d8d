"""AMD's management library."""

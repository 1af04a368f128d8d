"""The leaderboard: one static page over all results and published figures, for a browser without a network."""

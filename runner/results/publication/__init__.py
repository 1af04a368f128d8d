"""What a run must keep to be published: the rules, and how they are judged."""

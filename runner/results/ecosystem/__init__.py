"""How far an ecosystem carries: what ran of what was asked, what was refused and changed, computed from results."""

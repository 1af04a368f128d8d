"""Finding runs in a store: conditions as people type them, and the two ways to ask a store for what fits them."""

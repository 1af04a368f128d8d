"""Which of several results is faster, by how much and how sure that is; and the gate that fails on a loss."""

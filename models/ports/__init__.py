"""Models written in other frameworks than PyTorch, each beside the PyTorch one whose everything else it shares."""

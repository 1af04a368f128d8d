"""How a network is spread over ranks: the blocks that are gathered one by one, and the matrices that are split."""

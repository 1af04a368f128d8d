"""How the ranks of a training job share its model; plain numbers, no torch."""

from __future__ import annotations

from typing import NamedTuple


class MeshLayout(NamedTuple):
    """Sizes of the axes along which ranks stand, the outermost first: neighbours share a tensor group.

    The names are those of the device mesh. Their product is the number of ranks.
    """

    replicate: int = 1
    """Copies of the model."""
    shard: int = 1
    """Ranks over which weights, gradients and optimizer state of one copy are spread."""
    tensor: int = 1
    """Ranks that share each layer's matrices, and the batch."""

    @property
    def sharded(self) -> bool:
        """Whether a rank holds less than a whole model."""
        return self.shard > 1 or self.tensor > 1

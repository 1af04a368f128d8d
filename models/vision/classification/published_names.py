"""Names of a published checkpoint's tensors, turned into those of torchvision's networks."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

Rules = Mapping[str, str]
"""Regular expressions of parts of a name, and what takes their place."""
PROJECTION = re.compile(r"^(.*)\.(query|key|value)\.(weight|bias)$")


def renamed(weights: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """The tensors under names to which every rule was applied in order; a name that no rule meets stays."""
    found = {}
    for name, tensor in weights.items():
        for pattern, place in rules.items():
            name = re.sub(pattern, place, name)  # noqa: PLW2901 -- one rule after the other
        found[name] = tensor
    return found


def joined_projections(weights: Mapping[str, Tensor], joined: str) -> dict[str, Tensor]:
    """The rows of each attention's query, key and value in one tensor, called `joined` with `weight` or `bias` added.

    Where one of the three is missing, those that are there keep their names, by which the checkpoint is refused.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        match = PROJECTION.match(name)
        parts = [f"{match[1]}.{part}.{match[3]}" for part in ("query", "key", "value")] if match else []
        if match is None or not all(part in weights for part in parts):
            found[name] = tensor
        elif match[2] == "query":
            found[f"{match[1]}.{joined}{match[3]}"] = torch.cat([weights[part] for part in parts])
    return found

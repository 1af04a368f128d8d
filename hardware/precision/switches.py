"""Switches of float32's short cuts, which every stack keeps in another place under `torch`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hardware.base import PrecisionUnsupportedError


@dataclass(kw_only=True, slots=True, frozen=True)
class Switch:
    """One switch, as a path under `torch`: `backends.mudnn.allow_tf32`."""

    path: str
    tf32: bool = True
    """Whether it is TF32 that the switch allows; false for another short cut, which stays off in every mode."""

    def set(self, value: bool) -> None:
        """Allow the short cut or not.

        Raises:
            PrecisionUnsupportedError: it is to be allowed and there is no such switch, or the switch keeps its place.
        """
        import torch

        *path, name = self.path.split(".")
        owner: Any = torch
        for part in path:
            owner = getattr(owner, part, None)
        if owner is None or not hasattr(owner, name):
            if value:
                raise PrecisionUnsupportedError(f"this version of the stack has no torch.{self.path} for TF32")
            return  # what the chip then does without a switch is for the probe to find out
        setattr(owner, name, value)
        if bool(getattr(owner, name)) is not value:
            raise PrecisionUnsupportedError(f"torch.{self.path} cannot be set to {value}")

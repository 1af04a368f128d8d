"""What an engine must do to be chosen with `compiler=`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import nn


class Engine(ABC):
    """A compiler with the options of the case. Its packages are imported inside methods: the parent asks it, too."""

    known_options: ClassVar[tuple[str, ...]] = ()
    """Names of the options it understands."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Take the options of the case.

        Raises:
            ValueError: an option that it does not know; names the nearest one.
        """
        for name in options:
            if name not in self.known_options:
                near = get_close_matches(name, self.known_options, n=1, cutoff=0.5)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise ValueError(f"{name} is not an option here.{hint} There are: {self._listed()}")
        self.options = dict(options)

    @abstractmethod
    def unavailable_reason(self) -> str | None:
        """Why nothing can be compiled on this machine; None when it can. Quick, and imports nothing heavy."""

    @abstractmethod
    def compile(self, network: nn.Module) -> None:
        """Have `network` compiled in place: the names of its parameters stay. The first steps may pay for it."""

    def _listed(self) -> str:
        return ", ".join(self.known_options) or "none"

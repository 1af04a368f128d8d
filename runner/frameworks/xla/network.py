"""A flax.nnx module taken apart into arrays by name, and put together again inside a traced function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import nnx

from models.ports.port import PortError

Tree = dict[str, Any]
"""Arrays by name."""


class FlatNetwork:
    """The graph of a module without its arrays: parameters (`nnx.Param`), and the rest, such as running statistics."""

    def __init__(self, module: Any) -> None:
        self._graph, self._params, self._rest = nnx.split(module, nnx.Param, ...)
        self.params, self.rest = _by_name(self._params), _by_name(self._rest)
        """Shapes and types."""

    def joined(self, params: Tree, rest: Tree) -> Any:
        """The module with these arrays."""
        return nnx.merge(self._graph, _filled(self._params, params), _filled(self._rest, rest))

    @staticmethod
    def rest_of(module: Any) -> Tree:
        """What is no parameter, as it is now: a forward pass in training changes it."""
        return _by_name(nnx.split(module, nnx.Param, ...)[2])

    def require(self, weights: Mapping[str, Any]) -> None:
        """Refuse weights that are not those of this network.

        Raises:
            PortError: names or shapes differ.
        """
        expected = self.params | self.rest
        unlike = sorted(expected.keys() ^ weights.keys())
        if unlike:
            raise PortError(f"weights differ by name: {', '.join(unlike[:3])}")
        for name, array in weights.items():
            if array.shape != expected[name].shape:
                raise PortError(f"{name} has shape {expected[name].shape}, the original's {array.shape}")


def _by_name(state: Any) -> Tree:
    return {_name(path): value.get_value() for path, value in nnx.to_flat_state(state)}


def _filled(state: Any, values: Tree) -> Any:
    return nnx.from_flat_state([(path, one.replace(values[_name(path)])) for path, one in nnx.to_flat_state(state)])


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))

"""What the parts of Stable Diffusion share as models of their own: random requests, and answers that nobody judges."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts
from models.datasets.requests import RandomRequests, joined
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.recipe import Recipe

A = TypeVar("A")


def sizes_of(recipe: Recipe, kind: type[A]) -> A:
    """The recipe's architecture in its typed form.

    Raises:
        pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped.
    """
    return TypeAdapter(kind).validate_python(recipe.architecture)


class DiffusionPart(Inferable):
    """A part by itself: it has no metric, for what it makes is the next part's input."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.metrics = {}

    def inputs(self, batch: Batch) -> Tensors:
        """The batch's tensors by the inputs' names."""
        return tuple(batch[name] for name in self.input_names)

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """There is no metric to update."""

    def evaluation_data(self, spec: DataSpec) -> Dataset[Any]:
        """Random requests."""
        return RandomRequests(self.synthetic_batch)

    def collate(self, examples: list[Batch]) -> Batch:
        """As `synthetic_batch`."""
        return joined(examples)

    def count(self, batch: Batch) -> Counts:
        """Rows of the batch."""
        return Counts(samples=len(batch[self.input_names[0]]))

"""What is known about a figure before it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]
Form = Literal["number", "integer", "prefixed", "percent", "yes_no", "label"]
"""`label` is a number that names something, a rank for instance: there is no mean of two."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Definition:
    """What is known about a figure before it is measured."""

    name: str
    title: str
    """What people read."""
    unit: str
    """`{unit}` stands for the model's own unit in the plural; `1` is a plain ratio, `bool` is 0 or 1."""
    better: Better | None = None
    """Which direction is an advantage; null where more is neither better nor worse by itself."""
    form: Form = "number"
    same_batch: bool = False
    """Whether two runs can only be ranked by it when they have the same batch size."""
    highest: bool = False
    """Whether it is the highest value that was seen: of several repeats, the highest of all."""


def define(
    name: str,
    title: str,
    unit: str,
    better: Better | None = None,
    *,
    form: Form = "number",
    same_batch: bool = False,
    highest: bool = False,
) -> Definition:
    """A definition in one line."""
    return Definition(
        name=name,
        title=title,
        unit=unit,
        better=better,
        form=form,
        same_batch=same_batch,
        highest=highest,
    )

"""The typed form of `conf/published/*.yaml`: figures that others published for a model, shown beside a measurement."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from models.ranges import Count, Positive

STRICT = ConfigDict(extra="forbid")


@dataclass(kw_only=True, slots=True, config=STRICT)
class PublishedFigure:
    """One figure of one system."""

    chip: str
    devices: Count
    precision: str
    figure: str
    """Our name for it, e.g. `throughput/core`; always the whole job's."""
    value: Positive
    source: str


@dataclass(kw_only=True, slots=True, config=STRICT)
class Published:
    """All of a model's; for orientation, never part of the case."""

    figures: tuple[PublishedFigure, ...] = ()

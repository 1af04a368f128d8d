"""The typed form of `conf/published/*.yaml`: what others published for a model, shown beside a measurement."""

from __future__ import annotations

from typing import Literal

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
    """Our name for it, e.g. `throughput/core`."""
    value: Positive
    per: Literal["job", "device"] = "job"
    """Whether `value` is the whole job's, as all our figures are, or one device's share of it."""
    source: str


@dataclass(kw_only=True, slots=True, config=STRICT)
class PublishedCost:
    """What somebody else counted of the model at reference scale."""

    value: Positive
    source: str


@dataclass(kw_only=True, slots=True, config=STRICT)
class Published:
    """All of a model's; for orientation, never part of the case."""

    parameters: PublishedCost | None = None
    """All of the network's, tied ones once. Our own count is held to it within 0.5 % by a test."""
    forward_flops_per_sample: PublishedCost | None = None
    """Of one forward pass, in our unit, multiply-add = 2; held to our count within 2 % by a test."""
    figures: tuple[PublishedFigure, ...] = ()

"""The typed form of `conf/model/*.yaml`: everything that is published about training one model.

Pure data, no torch: the parent process validates a case with it before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Literal

from models.ranges import Count, Finite, NotNegative, Positive, Ratio, Share, WholeNumber, check_architecture

STRICT: dict[str, str] = {"extra": "forbid"}
"""pydantic reads this: a key that is not a field is an error."""


@dataclass(kw_only=True, slots=True)
class Optimizer:
    """An optimizer by its field-standard name; fields it does not use stay null."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: Literal["sgd", "adam", "adamw", "lamb"]
    lr: Positive
    weight_decay: NotNegative = 0.0
    momentum: Share | None = None
    betas: tuple[Share, Share] | None = None
    eps: Positive | None = None


@dataclass(kw_only=True, slots=True)
class Schedule:
    """Learning rate over optimizer steps: a linear warm-up, then `name`."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: Literal["constant", "linear", "cosine", "multistep"]
    warmup_steps: WholeNumber = 0
    total_steps: Count | None = None
    """Step at which linear and cosine reach `final_ratio`."""
    final_ratio: Ratio = 0.0
    """Last learning rate divided by the peak one."""
    milestones: tuple[Count, ...] = ()
    gammas: tuple[NotNegative, ...] = ()
    """Factor of the peak rate from each milestone on; as many as milestones."""


@dataclass(kw_only=True, slots=True)
class Quality:
    """What the model must reach, how often that is looked at, and on how much data."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    targets: dict[str, Finite]
    """Metric name to target; all must be reached. The first is the one shown. Rates are fractions, not percent."""
    mode: Literal["max", "min"]
    every_samples: Count
    """Training examples between two evaluations, over all devices; counted like `batch_size`."""
    samples: Count | None = None
    """Evaluation examples used; null uses the whole evaluation set."""

    @property
    def metric(self) -> str:
        """Name of the metric shown first."""
        return next(iter(self.targets))

    def reached(self, values: dict[str, float]) -> bool:
        """Whether every target is met by `values`; a missing or NaN value never meets one."""
        return all(
            name in values and (values[name] >= goal if self.mode == "max" else values[name] <= goal)
            for name, goal in self.targets.items()
        )

    def better(self, new: float, old: float | None) -> bool:
        """Whether `new` improves on `old` in this metric's direction."""
        return old is None or (new > old if self.mode == "max" else new < old)


@dataclass(kw_only=True, slots=True)
class Published:
    """A figure somebody published for this case, for orientation beside a measurement."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    chip: str
    devices: Count
    precision: str
    figure: str
    """Our name for it, e.g. `throughput/core`; always the whole job's."""
    value: Positive
    source: str


@dataclass(kw_only=True, slots=True)
class Recipe:
    """One model: architecture, batch, optimizer, quality. Every value may differ between the two scales."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: str
    workloads: dict[str, str]
    """Framework name to the dotted path of the `Workload` class."""
    unit: str
    """What throughput counts, in the plural: sequences, images, mel frames …"""
    architecture: dict[str, Any]
    batch_size: Count
    """Examples per device and forward pass: rows of a batch. `unit` may be finer, as the mel frames of clips are."""
    accumulate: Count = 1
    """Forward passes per optimizer step."""
    clip_norm: Positive | None = None
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    optimizer: Optimizer
    schedule: Schedule
    quality: Quality
    budget_samples: Count
    """Training examples after which `task=converge` gives up; counted like `batch_size`."""
    dataset: str
    """The real data set's name and where it is to be had; shown when `data=dataset` finds nothing."""
    dataset_files: tuple[str, ...] = ()
    """What must be below `data.root`, as glob patterns; `a|b` where either will do. A first look, before anything
    starts."""
    published: list[Published] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_architecture(self.architecture)
        schedule = self.schedule
        if not self.quality.targets:
            raise ValueError("model.quality.targets names no metric")
        if len(schedule.milestones) != len(schedule.gammas):
            raise ValueError("model.schedule needs as many gammas as milestones")
        if any(later <= earlier for earlier, later in pairwise(schedule.milestones)):
            raise ValueError(f"model.schedule.milestones must rise, not {list(schedule.milestones)}")
        if schedule.name in ("linear", "cosine") and schedule.total_steps is None:
            raise ValueError(f"model.schedule.total_steps is needed with model.schedule.name={schedule.name}")

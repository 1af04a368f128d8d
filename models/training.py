"""The `train:` section of a model's YAML: batch, optimizer, schedule, regularisation, quality, budget.

Pure data, no torch: the parent process validates a case with it before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import isnan
from typing import ClassVar, Literal

from models.ranges import Count, Finite, NotNegative, Positive, Ratio, Share

STRICT: dict[str, str] = {"extra": "forbid"}
"""pydantic reads this: a key that is not a field is an error."""


@dataclass(kw_only=True, slots=True)
class ParameterGroup:
    """Parameters that are trained differently from the rest."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    match: tuple[str, ...]
    """Glob patterns of the network's parameter names, e.g. `backbone.*`; the first group that matches takes it."""
    lr_ratio: NotNegative = 1.0
    """Learning rate of the group divided by the optimizer's; 0 keeps the parameters as they are."""
    weight_decay: NotNegative | None = None
    """None: the optimizer's."""


@dataclass(kw_only=True, slots=True)
class Optimizer:
    """An optimizer by its field-standard name; fields it does not use stay None."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: Literal["sgd", "adam", "adamw", "lamb", "adafactor", "rmsprop", "adagrad"]
    lr: Positive
    weight_decay: NotNegative = 0.0
    decay: Literal["matrices", "all"] = "matrices"
    """What `weight_decay` applies to: parameters of two and more dimensions, or all, biases and norms too."""
    momentum: Share | None = None
    nesterov: bool | None = None
    alpha: Share | None = None
    """RMSprop's smoothing constant."""
    betas: tuple[Share, Share] | None = None
    eps: Positive | None = None
    groups: tuple[ParameterGroup, ...] = ()


@dataclass(kw_only=True, slots=True)
class Schedule:
    """Learning rate over optimizer steps: a linear warm-up, then `name`. `models.schedules` has the formulas."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: Literal["constant", "linear", "cosine", "polynomial", "inverse_sqrt", "multistep", "step", "exponential"]
    unit: Literal["steps", "epochs"] = "steps"
    """What `warmup`, `total`, `milestones` and `every` count; an epoch is `train.epoch_samples` examples."""
    warmup: NotNegative = 0.0
    warmup_ratio: Share = 0.0
    """Rate at the beginning of warm-up, divided by the peak rate."""
    total: Positive | None = None
    """Where linear, cosine and polynomial reach `final_ratio`."""
    final_ratio: Ratio = 0.0
    """Last rate divided by the peak rate."""
    power: Positive = 1.0
    """Of the polynomial; 1 is linear."""
    milestones: tuple[Positive, ...] = ()
    gammas: tuple[NotNegative, ...] = ()
    """Factor of the peak rate from each milestone on; as many as milestones."""
    every: Positive | None = None
    """`step` and `exponential`: the rate is multiplied by `gamma` so often."""
    gamma: Positive | None = None

    def __post_init__(self) -> None:
        where = "model.train.schedule"
        if len(self.milestones) != len(self.gammas):
            raise ValueError(f"{where} needs as many gammas as milestones")
        if any(later <= earlier for earlier, later in pairwise(self.milestones)):
            raise ValueError(f"{where}.milestones must rise, not {list(self.milestones)}")
        needs = {
            **dict.fromkeys(("linear", "cosine", "polynomial"), ("total",)),
            **dict.fromkeys(("step", "exponential"), ("every", "gamma")),
            "inverse_sqrt": ("warmup",),
        }
        for name in needs.get(self.name, ()):
            if not getattr(self, name):
                raise ValueError(f"{where}.{name} is needed with {where}.name={self.name}")


@dataclass(kw_only=True, slots=True)
class Batching:
    """How examples become batches."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    by: Literal["rows", "aspect", "size", "streams"] = "rows"
    """`rows`: `batch_size` examples. `aspect`: `batch_size` images of similar width ÷ height.
    `size`: examples of similar size, at most `max_size` together, padding included.
    `streams`: row i of a batch goes on where row i of the batch before ended."""
    max_size: Count | None = None
    """`size`: in the model's own measure, such as tokens or audio samples."""
    repeats: Count = 1
    """`rows`: how often an example is taken in a row, to be augmented each time anew; a pass takes as many fewer."""

    def __post_init__(self) -> None:
        if (self.by == "size") != (self.max_size is not None):
            raise ValueError(
                "model.train.batching.max_size belongs to model.train.batching.by=size, and is needed there"
            )
        if self.repeats > 1 and self.by != "rows":
            raise ValueError("model.train.batching.repeats belongs to model.train.batching.by=rows")


@dataclass(kw_only=True, slots=True)
class Regularisation:
    """What keeps a model from learning its examples by heart; a model refuses what it does not do."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    label_smoothing: Share = 0.0
    mixup_alpha: NotNegative = 0.0
    cutmix_alpha: NotNegative = 0.0
    ema_decay: Share | None = None
    """Evaluate an exponential moving average of the weights, updated after every optimizer step."""


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
    """Evaluation examples used; None uses the whole evaluation set."""

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("model.train.quality.targets names no metric")

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
        """Whether `new` improves on `old` in this metric's direction; NaN never does."""
        if old is None:
            return not isnan(new)
        return new > old if self.mode == "max" else new < old


@dataclass(kw_only=True, slots=True)
class Training:
    """How a model is trained. Every value may differ between the two scales."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    batch_size: Count
    """Examples per device and forward pass: rows of a batch. `unit` may be finer, as the mel frames of clips are."""
    gradient_accumulation_steps: Count = 1
    """Forward passes per optimizer step."""
    max_grad_norm: Positive | None = None
    batching: Batching = field(default_factory=Batching)
    epoch_samples: Count | None = None
    """Examples of one epoch as published, for schedules in epochs."""
    optimizer: Optimizer
    schedule: Schedule
    regularisation: Regularisation = field(default_factory=Regularisation)
    quality: Quality
    max_train_samples: Count
    """Training examples after which `task=converge` gives up; counted like `batch_size`."""

    def __post_init__(self) -> None:
        if self.schedule.unit == "epochs" and self.epoch_samples is None:
            raise ValueError("model.train.schedule.unit=epochs needs model.train.epoch_samples")

    def samples_per_step(self, batches: int) -> int:
        """Examples of one optimizer step.

        Args:
            batches: of one pass, over all ranks: as many as there are ranks, unless some share theirs.
        """
        return self.batch_size * self.gradient_accumulation_steps * batches

    def steps_per_epoch(self, batches: int) -> float | None:
        """Optimizer steps of one epoch; None where the epoch's length is not published."""
        return None if self.epoch_samples is None else self.epoch_samples / self.samples_per_step(batches)

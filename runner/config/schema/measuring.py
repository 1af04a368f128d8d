"""How long is measured, where results go, and how a run is looked after."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from models.ranges import Count, Port, Positive, Repeats, Retries, Seconds
from runner.config.schema.sections import STRICT


@dataclass(kw_only=True, slots=True, config=STRICT)
class WarmUp:
    """When the engine believes that the speed no longer changes."""

    block_steps: Count
    blocks: Annotated[Count, Field(ge=2, le=1000)]
    tolerance: Positive
    max_steps: Count
    max_s: Seconds


@dataclass(kw_only=True, slots=True, config=STRICT)
class WindowSpec:
    """How long the measured segment lasts."""

    min_s: Seconds
    min_steps: Count
    max_s: Seconds

    def __post_init__(self) -> None:
        if self.min_s > self.max_s:
            raise ValueError(f"min_s={self.min_s:g} is more than max_s={self.max_s:g}: no window can be both")


@dataclass(kw_only=True, slots=True, config=STRICT)
class Measure:
    """How long and how often is measured."""

    name: str
    publishable: bool
    warmup: WarmUp
    window: WindowSpec
    repeats: Repeats = 1
    sampling_period_s: Annotated[Seconds, Field(ge=0.01, le=60)] = 0.1


@dataclass(kw_only=True, slots=True, config=STRICT)
class Tracking:
    """Where results are filed."""

    name: Literal["mlflow", "none"]
    uri: str | None = None
    experiment: str = "touchstone"
    flush_s: Seconds = 5.0
    system_metrics: bool = True
    """File what the meters read as MLflow's system metrics, while the run goes on."""


@dataclass(kw_only=True, slots=True, config=STRICT)
class Meters:
    """What is read beside the vendor's own meters, and where readings can be watched; decides nothing of the result."""

    extra: tuple[str, ...] = ()
    """Further meters: `ipmi` or `redfish` for the node's power."""
    prometheus_port: Port | None = None
    """Serve live readings as Prometheus metrics at this port, while the case runs."""
    prometheus_address: str = "127.0.0.1"


@dataclass(kw_only=True, slots=True, config=STRICT)
class Fairness:
    """What a run must keep to, or it is refused; decides nothing about the result."""

    require: Literal["any", "closed"] = "any"
    """`closed`: only what a vendor may change may differ from the reference composition."""


@dataclass(kw_only=True, slots=True, config=STRICT)
class RunOptions:
    """How the worker is looked after; decides nothing about the result."""

    root: str = "outputs"
    timeout_s: Seconds | None = None
    retries: Retries = 0


@dataclass(kw_only=True, slots=True, config=STRICT)
class TuningOptions:
    """What the engine looks for before it measures (docs/suites.md); what it finds stands in the case itself."""

    auto_batch: bool = False
    memory_limit_gib: Positive | None = None
    """What counts as all there is: of a device's memory, and of the host's where the ranks run on it."""
    batch_multiple: Count = 1
    largest_batch: Count = 65536
    allow_converge: bool = False

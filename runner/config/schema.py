"""The typed form of a case. Pure validation: no torch, no files, no network, no environment.

The sections of a model, a vendor, a precision and data are defined where they are used (`models`, `hardware`);
this module adds the engine's own and joins them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator
from pydantic.dataclasses import dataclass

from hardware.spec import PrecisionSpec, VendorSpec
from models.datasets.spec import DataSpec
from models.published import Published
from models.ranges import Count, Devices, Port, Positive, Repeats, Retries, Seconds, Seed
from models.recipe import Recipe
from runner.core.load import Load, default_load
from runner.core.redact import public_uri
from runner.core.tasks import TASKS

STRICT = ConfigDict(extra="forbid")
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""What a choice may be called."""


@dataclass(kw_only=True, slots=True, config=STRICT)
class TaskOptions:
    """What is done; a task with options of its own has a subclass of this."""

    name: str


def _with_its_options(values: Any) -> Any:
    """The section in the form that its task gives it; a task that there is not is refused."""
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        return values
    options: type[TaskOptions] = TASKS.find(values["name"]).options
    return TypeAdapter(options).validate_python(values)


NO_MODEL = Recipe(name="none", implementations={}, unit="samples", architecture={}, dataset="none")
"""Stands for `model: None`, of tasks that run no model."""


def _no_model(values: Any) -> Any:
    return NO_MODEL if values is None else values


@dataclass(kw_only=True, slots=True, config=STRICT)
class FrameworkSpec:
    """What the model is written in and trained by."""

    name: str


@dataclass(kw_only=True, slots=True, config=STRICT)
class Compiler:
    """What compiles the network."""

    name: str
    engine_path: str | None = None
    """What an earlier compilation left, loaded in the place of compiling; for engines that can."""
    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"
    """`torch.compile`'s."""
    dynamic: bool | None = None
    """`torch.compile`'s; None lets it decide."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of any other engine, which checks them itself."""
    vendors: tuple[str, ...] = ()
    """Vendors on whose stack it works, besides those that name it in `compilers`."""

    def given(self) -> dict[str, Any]:
        """Every option that is not left to the engine."""
        own: dict[str, Any] = {"mode": self.mode} if self.mode != "default" else {}
        own |= {"engine_path": self.engine_path} if self.engine_path is not None else {}
        return {**own, **({} if self.dynamic is None else {"dynamic": self.dynamic}), **self.options}


@dataclass(kw_only=True, slots=True, config=STRICT)
class Topology:
    """How many devices, and where."""

    name: Literal["single", "node"]
    devices: Devices | Literal["auto"] = 1
    fsdp: Count = 1
    """Devices over which one copy of weights, gradients and optimizer state is spread (FSDP, ZeRO-3); 1: none."""


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


@dataclass(kw_only=True, slots=True, config=STRICT)
class Case:
    """Everything that decides a result, and how the run is looked after."""

    task: Annotated[TaskOptions, BeforeValidator(_with_its_options)]
    model: Annotated[Recipe, BeforeValidator(_no_model)]
    framework: FrameworkSpec
    compiler: Compiler
    vendor: VendorSpec
    precision: PrecisionSpec
    topology: Topology
    data: DataSpec
    measure: Measure
    tracking: Tracking
    load: Load = field(default_factory=default_load)
    scale: Literal["reference", "tiny"] = "reference"
    emulate: bool = False
    seed: Seed = 1234
    resume: bool = False
    debug: bool = False
    run: RunOptions = field(default_factory=RunOptions)
    meters: Meters = field(default_factory=Meters)
    fairness: Fairness = field(default_factory=Fairness)
    tuning: TuningOptions = field(default_factory=TuningOptions)
    published: Published = field(default_factory=Published)

    @field_validator(
        *("task", "model", "framework", "compiler", "vendor", "precision", "topology", "data", "measure", "load"),
        mode="after",
    )
    @classmethod
    def _check_name(cls, part: Any) -> Any:
        """Names become parts of paths and of addresses."""
        if not NAME.fullmatch(part.name):
            raise ValueError(
                f"the name {part.name[:80]!r} may hold only letters of a to z, digits, '.', '_' and '-', and must not "
                "begin with '.'"
            )
        return part

    def __post_init__(self) -> None:
        needed = TASKS.find(self.task.name).needs_model
        if needed and not self.has_model:
            raise ValueError(f"task={self.task.name} needs a model, and model is null: choose one with model=NAME")
        if self.has_model and not needed:
            raise ValueError(f"task={self.task.name} runs no model: leave model={self.model.name} out")

    @property
    def has_model(self) -> bool:
        """Whether there is a model to be run."""
        return self.model.name != NO_MODEL.name

    @property
    def name(self) -> str:
        """Short name for folders, tables and MLflow, e.g. `converge_bert_tiny_fp32_cpu`."""
        return case_name(self)

    @property
    def identity(self) -> str:
        """Hash of what decides the result; equal for two runs of the same case, wherever they are filed."""
        return hashlib.sha256(json.dumps(self.deciding(), sort_keys=True).encode()).hexdigest()

    def deciding(self) -> dict[str, Any]:
        """What decides the result: the case without where and how its run is kept."""
        values = {key: value for key, value in self.to_dict().items() if key not in NOT_DECIDING}
        del values["data"]["cache"]
        if not TASKS.find(self.task.name).serves:
            del values["load"]
        return values

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries, as `run.yaml` holds them."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values if self.has_model else values | {"model": None}

    def save(self, path: Path) -> None:
        """Write `run.yaml`, without the credentials of `tracking.uri`; the file must not exist yet.

        Raises:
            FileExistsError: another run owns this folder.
        """
        values = self.to_dict()
        if self.tracking.uri is not None:
            values["tracking"]["uri"] = public_uri(self.tracking.uri)
        with path.open("x") as file:
            yaml.safe_dump(values, file, sort_keys=False)


def case_name(case: Any) -> str:
    """The one rule by which a case is called; `case` is a `Case` or a composed configuration with the same keys."""
    model = [case.model.name] if case.model is not None and case.model.name != NO_MODEL.name else []
    parts = [case.task.name, *model, case.scale, case.precision.name, case.vendor.name]
    parts += [f"x{case.topology.devices}"] if case.topology.name != "single" else []
    parts += [case.compiler.name] if case.compiler.name != "eager" else []
    parts += [case.load.name] if case.load.name != "offline" else []
    return "_".join(map(str, parts)) + ("_emulated" if case.emulate else "")


NOT_DECIDING = frozenset({"tracking", "resume", "debug", "run", "meters", "fairness", "tuning", "published"})
"""Sections that change where and how a run is kept, but not what it measures."""

_ADAPTER: TypeAdapter[Case] = TypeAdapter(Case)


def case_from_dict(values: dict[str, Any]) -> Case:
    """Validate nested dictionaries into a case.

    Raises:
        pydantic.ValidationError: names every key that is unknown or has the wrong type.
    """
    return _ADAPTER.validate_python(values)


def load_case(run_folder: Path) -> Case:
    """The case of a run folder, from its `run.yaml`."""
    return case_from_dict(yaml.safe_load((run_folder / "run.yaml").read_text()))

"""A case: everything that decides a result, its name, its identity, and its file."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, TypeAdapter, field_validator
from pydantic.dataclasses import dataclass

from hardware.spec import PrecisionSpec, VendorSpec
from models.datasets.spec import DataSpec
from models.published import Published
from models.ranges import Seed
from models.recipe import Recipe
from runner.config.schema.measuring import Fairness, Measure, Meters, RunOptions, Tracking, TuningOptions
from runner.config.schema.sections import (
    NO_MODEL,
    STRICT,
    Compiler,
    FrameworkSpec,
    TaskOptions,
    no_model,
    with_framework_options,
    with_task_options,
)
from runner.config.schema.topology import SHARDED, LauncherSpec, Topology, with_launcher_options
from runner.core.load import Load, default_load
from runner.core.redact import public_uri
from runner.core.tasks import TASKS

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""What a choice may be called."""


@dataclass(kw_only=True, slots=True, config=STRICT)
class Case:
    """Everything that decides a result, and how the run is looked after."""

    task: Annotated[TaskOptions, BeforeValidator(with_task_options)]
    model: Annotated[Recipe, BeforeValidator(no_model)]
    framework: Annotated[FrameworkSpec, BeforeValidator(with_framework_options)]
    compiler: Compiler
    vendor: VendorSpec
    precision: PrecisionSpec
    topology: Topology
    data: DataSpec
    measure: Measure
    tracking: Tracking
    load: Load = field(default_factory=default_load)
    launcher: Annotated[LauncherSpec, BeforeValidator(with_launcher_options)] = field(default_factory=LauncherSpec)
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
        *(
            "task",
            "model",
            "framework",
            "compiler",
            "vendor",
            "precision",
            "topology",
            "data",
            "measure",
            "load",
            "launcher",
        ),
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
        del values["data"]["cache"], values["framework"]["python"]
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
    parts += place_name(case.topology)
    parts += framework_name(case.framework)
    parts += [case.compiler.name] if case.compiler.name != "eager" else []
    parts += [case.load.name] if case.load.name != "offline" else []
    return "_".join(map(str, parts)) + ("_emulated" if case.emulate else "")


def framework_name(framework: Any) -> list[str]:
    """What a framework adds to a case's name: nothing for the usual one, else its name, with its stage of ZeRO."""
    if framework.name == "pytorch":
        return []
    stage = getattr(framework, "zero_stage", None)
    return [framework.name, *([f"zero{stage}"] if stage is not None else [])]


def place_name(topology: Any) -> list[str]:
    """What a topology adds to a case's name: `x8`, of two nodes `2x8`, then what is not data parallel: `fsdp8`."""
    nodes = topology.nodes if topology.name == "cluster" else ""
    count = [f"{nodes}x{topology.devices}"] if topology.name != "single" else []
    layout = {name: getattr(topology.parallel, name) for name in SHARDED}
    return count + [f"{name}{size}" for name, size in layout.items() if size != 1]


NOT_DECIDING = frozenset(
    {"tracking", "resume", "debug", "run", "meters", "fairness", "tuning", "published", "launcher"}
)
"""Sections that change where and how a run is kept, but not what it measures."""

_ADAPTER: TypeAdapter[Case] = TypeAdapter(Case)


def case_from_dict(values: dict[str, Any]) -> Case:
    """Validate nested dictionaries into a case.

    Raises:
        pydantic.ValidationError: names every key that is unknown or has the wrong type.
    """
    return _ADAPTER.validate_python(values)


def load_case(run_folder: Path) -> Case:
    """The case of a run folder, from its `run.yaml`; one of before `topology.parallel` had `topology.fsdp`."""
    values = yaml.safe_load((run_folder / "run.yaml").read_text())
    topology = values.get("topology") if isinstance(values, dict) else None
    if isinstance(topology, dict) and "fsdp" in topology:
        topology["parallel"] = {"fsdp": topology.pop("fsdp")}
    return case_from_dict(values)

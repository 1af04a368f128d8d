"""What is run: task, framework, compiler. Tasks and frameworks with options of their own have subclasses of these."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from models.recipe import Recipe
from runner.core.registries import FRAMEWORKS
from runner.core.tasks import TASKS

STRICT = ConfigDict(extra="forbid")


@dataclass(kw_only=True, slots=True, config=STRICT)
class TaskOptions:
    """What is done; a task with options of its own has a subclass of this."""

    name: str


def with_task_options(values: Any) -> Any:
    """The section in the form that its task gives it; a task that there is not is refused."""
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        return values
    options: type[TaskOptions] = TASKS.find(values["name"]).options
    return TypeAdapter(options).validate_python(values)


NO_MODEL = Recipe(name="none", implementations={}, unit="samples", architecture={}, dataset="none")
"""Stands for `model: None`, of tasks that run no model."""


def no_model(values: Any) -> Any:
    """`model: None` as the model that stands for it."""
    return NO_MODEL if values is None else values


@dataclass(kw_only=True, slots=True, config=STRICT)
class FrameworkSpec:
    """What the model is written in and trained by; a framework with options of its own has a subclass of this."""

    name: str
    python: str | None = None
    """Path of the interpreter that runs the ranks; None: that of `.venv-NAME` beside the project where it is there,
    else the one that runs this."""

    @property
    def layout(self) -> str | None:
        """How it spreads a model over ranks by itself, in words: `zero 3`; None: as the topology says."""
        return None


def with_framework_options(values: Any) -> Any:
    """The section in the form that its framework gives it; a name that there is not is refused with the other names."""
    if not isinstance(values, dict) or values.get("name") not in FRAMEWORKS.names():
        return values
    options: type[FrameworkSpec] = FRAMEWORKS.find(values["name"]).options
    return TypeAdapter(options).validate_python(values)


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

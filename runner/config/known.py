"""Refuses frameworks, engines and data sets that there are not, and those that do not go together or work here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import yaml

from hardware.registry import Registry
from models.datasets.catalogue import UnknownDatasetError
from models.recipe import Recipe
from runner.config.schema import Case, Compiler
from runner.config.task import Demands
from runner.core import packages
from runner.core.errors import ConfigurationError, DependencyError
from runner.core.registries import ENGINES, FRAMEWORKS
from runner.interpreters.ask import answer_of, answer_of_environment
from runner.interpreters.choose import how_to_make

if TYPE_CHECKING:
    from hardware.engines.base import Engine


def check_names(case: Case) -> None:
    """Look every name up, without importing what it leads to.

    Raises:
        ConfigurationError: there is nothing of this name; says what is near.
    """
    _require(FRAMEWORKS, case.framework.name, "framework")
    _require(ENGINES, case.compiler.name, "compiler")
    if not case.has_model:
        return
    try:
        case.model.data_source  # noqa: B018 -- asked for its refusal alone
    except UnknownDatasetError as error:
        raise ConfigurationError(f"model.dataset: {error}.") from error


def implementation_key(recipe: Recipe, framework: str) -> str:
    """Under which of `model.implementations` the class stands that a framework trains: its own name, or another's.

    Raises:
        ConfigurationError: the model is written in nothing that the framework trains.
    """
    written = FRAMEWORKS.find(framework).writes_in
    for key in (framework, written):
        if key in recipe.implementations:
            return str(key)
    raise ConfigurationError(
        f"model={recipe.name} has no implementation for framework={framework}. "
        f"It has one for: {', '.join(recipe.implementations)}."
    )


def original_key(recipe: Recipe, framework: str) -> str:
    """Under which of `model.implementations` the PyTorch class stands whose data, counts and metrics a case has.

    Raises:
        ConfigurationError: the model is written in nothing that the framework trains.
    """
    key = implementation_key(recipe, framework)
    original = FRAMEWORKS.find(framework).original
    return key if original is None else str(original)


def runtime_of(case: Case) -> str | None:
    """Dotted path of what reaches the devices in the framework's place of torch; None: torch does."""
    runtime: str | None = FRAMEWORKS.find(case.framework.name).runtime
    return runtime if case.has_model else None


def check_engine(case: Case, task: Demands) -> None:
    """Look at what is known of the engine without its packages, then whether they are here.

    Raises:
        ConfigurationError: choices that do not go together.
        DependencyError: the framework or the engine lacks something on this machine.
    """
    if task.on_device:
        check_engine_choice(case, task)
        check_workable(case)


def check_engine_choice(case: Case, task: Demands) -> None:
    """Look at what is known of the engine without its packages.

    Raises:
        ConfigurationError: choices that do not go together.
    """
    _check_vendor(case)
    _check_training(case, task)
    _check_precision(case, task)


def check_framework(case: Case, task: Demands) -> None:
    """Ask the framework whether it can do the case.

    Raises:
        ConfigurationError: choices that do not go together in it.
        HardwareError: it does not know the vendor's devices.
    """
    if not (task.on_device and case.has_model):
        return
    framework, name, parallel = FRAMEWORKS.find(case.framework.name), case.framework.name, case.topology.parallel
    if task.serves and not framework.serves:
        raise ConfigurationError(
            f"framework={name} trains; task={task.name} serves PyTorch's networks through an engine. Leave framework "
            "out: weights that another framework has trained are read by model.weights=RUN_FOLDER."
        )
    if parallel.pipeline > 1 and not framework.pipelines:
        able = ", ".join(one for one in FRAMEWORKS.names() if FRAMEWORKS.find(one).pipelines) or "none"
        raise ConfigurationError(
            f"topology.parallel.pipeline={parallel.pipeline}: framework={name} does not train in a pipeline (these do: "
            f"{able}); task=inspect plans one. Leave topology.parallel.pipeline out."
        )
    framework.check(case)


def emulation_of(case: Case) -> str:
    """What to add to try a case out on the host's processor; for engines that do not know it, with eager."""
    return f"emulate=true{'' if ENGINES.find(case.compiler.name).on_host else ' compiler=eager'} scale=tiny"


def _check_vendor(case: Case) -> None:
    vendor = case.vendor
    if case.emulate and not ENGINES.find(case.compiler.name).on_host:
        raise ConfigurationError(
            f"emulate=true puts the host CPU in the place of {vendor.title}, and compiler={case.compiler.name} does "
            "not compile for it. Add compiler=eager."
        )
    if case.emulate and case.compiler.name == "eager":
        return
    if case.compiler.name not in vendor.compilers and vendor.name not in case.compiler.vendors:
        offered = ", ".join(dict.fromkeys((*vendor.compilers, *_working_on(vendor.name)))) or "none"
        raise ConfigurationError(
            f"vendor={vendor.name} does not offer compiler={case.compiler.name}. It offers: {offered}."
        )


def _working_on(vendor: str) -> Iterator[str]:
    """Engines that name a vendor in their own YAML."""
    for name in packages.choices("compiler"):
        path = packages.leaf("compiler", name)
        content = yaml.safe_load(path.read_text()) if path else None
        if isinstance(content, dict) and vendor in (content.get("vendors") or ()):
            yield name


def _check_training(case: Case, task: Demands) -> None:
    if task.trains and not ENGINES.find(case.compiler.name).trains:
        raise ConfigurationError(
            f"compiler={case.compiler.name} compiles models that are served, and task={task.name} trains one. "
            "Choose compiler=eager or compiler=inductor, or task=infer."
        )
    if task.trains and not case.precision.trains:
        raise ConfigurationError(
            f"precision={case.precision.name} is for models that are served, and task={task.name} trains one. "
            "Choose another precision, or task=infer."
        )


def _check_precision(case: Case, task: Demands) -> None:
    if not task.serves:
        return
    offered = engine_of(case.compiler).precisions
    if case.precision.name not in offered:
        raise ConfigurationError(
            f"compiler={case.compiler.name} does not serve in precision={case.precision.name}. "
            f"It serves in: {', '.join(offered)}."
        )


def check_workable(case: Case) -> None:
    """Ask the framework and the compiler whether they can work here.

    Raises:
        ConfigurationError: the compiler does not know one of its options.
        DependencyError: something is not installed; says what.
    """
    engine, answer = engine_of(case.compiler), answer_of(case)
    name, place = case.framework.name, "here" if answer is None else f"in {answer.environment}"
    framework = FRAMEWORKS.find(name).unavailable_reason() if answer is None else answer.framework
    if framework is not None:
        way = "" if "make environment" in framework else how_to_make(name)
        raise DependencyError(f"framework={name} cannot be used {place}: {framework}.{way}")
    compiler = engine.unavailable_reason() if answer is None else answer.compiler
    if compiler is None:
        return
    message = f"compiler={case.compiler.name} cannot be used {place}: {compiler}."
    if not ENGINES.find(case.compiler.name).on_host:
        message += f" {case.vendor.install} To try the configuration out on the host CPU, add: {emulation_of(case)}"
    raise DependencyError(message)


def workable() -> dict[str, str | None]:
    """Every framework and compiler, as `framework=pytorch`, with what it lacks on this machine; None: nothing.

    A framework with an environment of its own is looked for in that one.
    """
    found = {f"framework={name}": _said(partial(_framework_lacks, name)) for name in FRAMEWORKS.names()}
    return found | {f"compiler={name}": _said(partial(_engine_lacks, name)) for name in ENGINES.names()}


def _framework_lacks(name: str) -> str | None:
    answer = answer_of_environment(name)
    reason: str | None = FRAMEWORKS.find(name).unavailable_reason() if answer is None else answer.framework
    return reason if answer is None or reason is None else f"in {answer.environment}: {reason}"


def _engine_lacks(name: str) -> str | None:
    reason: str | None = ENGINES.find(name)({}).unavailable_reason()
    return reason


def _said(ask: Callable[[], str | None]) -> str | None:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 -- what a package brings may fail in any way
        return str(error) or type(error).__name__


def engine_of(compiler: Compiler) -> Engine:
    """The engine of a case, with its options.

    Raises:
        ConfigurationError: it cannot be loaded, or does not know an option.
    """
    try:
        engine: Engine = ENGINES.find(compiler.name)(compiler.given())
    except ValueError as error:
        raise ConfigurationError(f"compiler={compiler.name}: {error}.") from error
    return engine


def _require(registry: Registry, name: str, key: str) -> None:
    try:
        registry.require(name)
    except ValueError as error:
        raise ConfigurationError(f"{key}.name={name}: {error}.") from error

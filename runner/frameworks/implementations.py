"""The class that a model's YAML names for a framework, the model built from it, and the framework that trains it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hardware.registry import Registry
from models.contract import Model
from models.inferable import Inferable
from models.ports.port import Port
from models.recipe import Recipe
from models.trainable import Trainable
from models.weights import RANDOM, InitialWeights, load_weights, of_run, read_weights
from runner.config.known import engine_of, implementation_key, original_key
from runner.config.schema import Case
from runner.core.errors import ConfigurationError
from runner.core.events import Name
from runner.core.registries import FRAMEWORKS, MODELS
from runner.frameworks.base import Framework
from runner.measure.context import Context

M = TypeVar("M", bound=Model)
P = TypeVar("P", bound=Port)
PORTS = Registry(kind="port", group=MODELS.group, base="models.ports.port:Port")
"""Models in other frameworks than PyTorch, found as models are."""


def trainable_class(recipe: Recipe, framework: str) -> type[Trainable]:
    """The class that a model's YAML names for a framework, as one that can be trained.

    Raises:
        ConfigurationError: no such class, or none that can be trained.
    """
    return _of_kind(recipe, framework, Trainable)  # type: ignore[type-abstract]


def inferable_class(recipe: Recipe, framework: str) -> type[Inferable]:
    """The class that a model's YAML names for a framework, as one that can be served.

    Raises:
        ConfigurationError: no such class, or none that can be served.
    """
    return _of_kind(recipe, framework, Inferable)  # type: ignore[type-abstract]


def _of_kind(recipe: Recipe, framework: str, kind: type[M]) -> type[M]:
    """The class at a dotted path, or of a name under `touchstone.models`; of a port, its original."""
    framework = original_key(recipe, framework)
    path = recipe.implementations[framework]
    found = _found(path, framework)
    if not issubclass(found, kind):
        raise ConfigurationError(
            f"model.implementations.{framework}: {path} is not a subclass of {kind.__module__}.{kind.__qualname__}."
        )
    return found


def port_class(recipe: Recipe, framework: str, kind: type[P]) -> type[P]:
    """The class that a model's YAML names for a framework other than PyTorch.

    Args:
        recipe: the model's.
        framework: as in `framework=`.
        kind: the framework's form of a port.

    Raises:
        ConfigurationError: no such class, or none of this kind.
    """
    key = implementation_key(recipe, framework)
    path = recipe.implementations[key]
    found = _found(path, key, PORTS)
    if not issubclass(found, kind):
        raise ConfigurationError(
            f"model.implementations.{key}: {path} is not a subclass of {kind.__module__}.{kind.__qualname__}."
        )
    return found


def _found(path: str, framework: str, registry: Registry = MODELS) -> type[Any]:
    try:
        found: type[Any] = registry.find(path)
    except ValueError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and not path.startswith(str(cause.name)):
            raise cause from None  # a package that the model needs
        raise ConfigurationError(f"model.implementations.{framework}: {error}.") from error
    return found


def framework_of(context: Context) -> Framework:
    """The framework that trains the case.

    Raises:
        ConfigurationError: it cannot be loaded.
    """
    name = context.case.framework.name
    try:
        framework: Framework = FRAMEWORKS.find(name)(context)
    except ValueError as error:
        raise ConfigurationError(f"framework={name}: {error}.") from error
    return framework


def build_trainable(context: Context) -> Trainable:
    """The case's model, its weights random or from `model.weights`; the same weights on every rank.

    Raises:
        ConfigurationError: the recipe's architecture cannot be built.
        DataError: `model.weights` cannot be read, or holds another model's.
    """
    case = context.case
    context.preparing("building the model")
    context.device.seed(case.seed)
    trainable = _built(trainable_class(case.model, case.framework.name), case.model)
    if case.model.weights == RANDOM and case.model.initial_weights is not None:
        wanted = f"The published case starts from {case.model.initial_weights}; this run starts from random weights."
        context.events.emit(Name.WARNING, {"message": f"{wanted} model.weights=PATH reads them."})
    engine_of(case.compiler).compile_in_place(trainable.network)
    return trainable


def build_inferable(case: Case) -> Inferable:
    """The case's model to be served, on the host in float32; call after seeding: equal seeds give equal weights.

    Raises:
        ConfigurationError: the recipe's architecture cannot be built.
        DataError: `model.weights` cannot be read, or holds another model's.
    """
    kind = inferable_class(case.model, case.framework.name)
    return _built(kind, case.model, begin=lambda model: model.begin_serving()).eval()


def _built(kind: type[M], recipe: Recipe, *, begin: Callable[[M], None] | None = None) -> M:
    """A model with its weights, random or from `model.weights`; `begin` changes the random ones before."""
    try:
        model = kind(recipe)
    except ValueError as error:
        raise ConfigurationError(f"model={recipe.name} cannot be built: {error}") from error
    if begin is not None:
        begin(model)
    if recipe.weights != RANDOM:
        _load(model, Path(recipe.weights).expanduser())
    return model


def _load(model: Model, path: Path) -> None:
    """A checkpoint of this project as it is, any other by the model's own translation."""
    weights = of_run(read_weights(path), model.network)
    ours = weights.keys() == model.network.state_dict().keys()
    load_weights(model.network, InitialWeights(weights) if ours else model.initial_weights(weights), path=path)

"""The class that a model's YAML names for a framework, the model built from it, and the framework that trains it."""

from __future__ import annotations

from pathlib import Path

from models.recipe import Recipe
from models.trainable import Trainable
from models.weights import RANDOM, InitialWeights, load_weights, read_weights
from runner.config.known import engine_of
from runner.core.errors import ConfigurationError
from runner.core.events import Name
from runner.core.registries import FRAMEWORKS, MODELS
from runner.frameworks.base import Framework
from runner.measure.context import Context


def trainable_class(recipe: Recipe, framework: str) -> type[Trainable]:
    """The class that a model's YAML names for a framework: a dotted path, or a name under `touchstone.models`.

    Raises:
        ConfigurationError: no such class, or none that can be trained.
    """
    path = recipe.implementations[framework]
    try:
        found: type[Trainable] = MODELS.find(path)
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
    try:
        trainable = trainable_class(case.model, case.framework.name)(case.model)
    except ValueError as error:
        raise ConfigurationError(f"model={case.model.name} cannot be built: {error}") from error
    if case.model.weights != RANDOM:
        _load(trainable, Path(case.model.weights).expanduser())
    elif case.model.initial_weights is not None:
        wanted = f"The published case starts from {case.model.initial_weights}; this run starts from random weights."
        context.events.emit(Name.WARNING, {"message": f"{wanted} model.weights=PATH reads them."})
    engine_of(case.compiler).compile(trainable.network)
    return trainable


def _load(trainable: Trainable, path: Path) -> None:
    """A checkpoint of this project as it is, any other by the model's own translation."""
    weights = read_weights(path)
    ours = weights.keys() == trainable.network.state_dict().keys()
    load_weights(trainable.network, InitialWeights(weights) if ours else trainable.initial_weights(weights), path=path)

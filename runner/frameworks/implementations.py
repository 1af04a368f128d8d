"""The class that a model's YAML names for a framework, and the model built from it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from models.recipe import Recipe
from models.trainable import Trainable
from models.weights import RANDOM, load_weights, read_weights
from runner.config.schema import Compiler
from runner.core.errors import ConfigurationError
from runner.measure.context import Context


def trainable_class(recipe: Recipe, framework: str) -> type[Trainable]:
    """The class that a model's YAML names for a framework.

    Raises:
        ConfigurationError: no such class, or none that can be trained.
    """
    path = recipe.implementations[framework]
    module_name, _, class_name = path.rpartition(".")
    try:
        found = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        if isinstance(error, ModuleNotFoundError) and not module_name.startswith(str(error.name)):
            raise
        raise ConfigurationError(f"model.implementations.{framework}={path} cannot be loaded: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, Trainable)):
        raise ConfigurationError(f"model.implementations.{framework}={path} is no models.trainable.Trainable.")
    return found


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
        path = Path(case.model.weights).expanduser()
        load_weights(trainable.network, read_weights(path), path=path)
    compile_network(trainable, case.compiler)
    return trainable


def compile_network(trainable: Trainable, compiler: Compiler) -> None:
    """Hand the network to the compiler; the first steps, inside warm-up, pay for it."""
    if compiler.name == "inductor":
        mode = None if compiler.mode == "default" else compiler.mode
        trainable.network.compile(mode=mode, dynamic=compiler.dynamic)

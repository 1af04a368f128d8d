"""Whether the dotted path of a class leads to one, read from the module's text: importing a model imports torch."""

from __future__ import annotations

import ast
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from runner.core.errors import ConfigurationError


def check_class(key: str, path: str) -> None:
    """Refuse a path that leads to no class, as far as that is known without importing it.

    Args:
        key: of the configuration.
        path: `package.module.Class`.

    Raises:
        ConfigurationError: says where the path ends.
    """
    module, _, name = path.rpartition(".")
    what = f"{key}={path} cannot be loaded"
    if not module or not all(part.isidentifier() for part in path.split(".")):
        raise ConfigurationError(f"{what}: that is no dotted path of a class (package.module.Class).")
    try:
        spec = find_spec(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise ConfigurationError(f"{what}: there is no module {error.name}.") from error
        return  # something that the package needs: the worker names it
    except Exception as error:  # the package's own __init__ runs here
        raise ConfigurationError(f"{what}: {module}: {error or type(error).__name__}.") from error
    if spec is None:
        raise ConfigurationError(f"{what}: there is no module {module}.")
    defined = _defined(Path(spec.origin)) if spec.origin and spec.origin.endswith(".py") else None
    if defined is not None and name not in defined:
        near = get_close_matches(name, defined, n=1, cutoff=0.6)
        hint = f" Did you mean {module}.{near[0]}?" if near else ""
        raise ConfigurationError(f"{what}: {module} has no {name}.{hint}")


def _defined(source: Path) -> set[str] | None:
    """Names that a module may define; None where its text does not tell."""
    try:
        nodes = list(ast.walk(ast.parse(source.read_bytes())))
    except (OSError, SyntaxError, ValueError):
        return None
    aliases = [alias for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
    imported = {alias.asname or alias.name for alias in aliases}
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    named = {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return None if "*" in imported or "__getattr__" in named else imported | stored | named

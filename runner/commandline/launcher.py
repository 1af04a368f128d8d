"""Which of Hydra's launchers a sweep goes through, as the command line says it: `hydra/launcher=NAME hydra.launcher.…`.

Every case of a sweep has the same launcher: Hydra asks for one before it looks at any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from runner.core.errors import ConfigurationError, DependencyError

GROUP = "hydra/launcher"
SECTION = "hydra.launcher"
BASIC = "basic"
"""Hydra's own default: one case after another, in this process. Here that is the engine's."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Plugin:
    """A launcher that sweeps are run through."""

    package: str
    """Hydra's plugin."""
    extra: str
    """Of this project, which installs it."""
    queued: bool = False
    """Whether a batch system has the jobs in its hands, so that nothing of this machine need stay for them."""
    turns: bool = False
    """Whether its jobs share this machine's devices, so that cases that measure must take turns."""


PLUGINS = {
    "submitit_slurm": Plugin(package="hydra_submitit_launcher", extra="sweeps", queued=True),
    "submitit_local": Plugin(package="hydra_submitit_launcher", extra="sweeps", turns=True),
    "joblib": Plugin(package="hydra_joblib_launcher", extra="sweeps", turns=True),
    "ray": Plugin(package="hydra_ray_launcher", extra="ray"),
}


def is_launcher(word: str) -> bool:
    """Whether a word of the command line is about the launcher."""
    key = word.partition("=")[0].lstrip("+~")
    return key in (GROUP, SECTION) or key.startswith(f"{SECTION}.")


def launcher_name(words: Sequence[str]) -> str:
    """The launcher that the words name; the last one counts, as it does for Hydra."""
    named = [word.partition("=")[2].strip("'\"") for word in words if word.partition("=")[0].lstrip("+~") == GROUP]
    return named[-1] if named else BASIC


def check_launcher(words: Sequence[str], *, sweep: bool) -> None:
    """Refuse a launcher that sweeps cannot be run through.

    Args:
        words: those of the command line that are about the launcher.
        sweep: whether `-m` was given.

    Raises:
        ConfigurationError: it is not one of those known here, or there is no sweep.
        DependencyError: it is not installed.
    """
    if not words:
        return
    if not sweep:
        raise ConfigurationError(
            f"{words[0]}: a launcher starts the cases of a sweep. Add -m, or leave it out; one case on several nodes "
            "is started by launcher=slurm or launcher=ray."
        )
    name = launcher_name(words)
    if name == BASIC:
        if own := [word for word in words if not word.partition("=")[0].endswith(GROUP)]:
            raise ConfigurationError(
                f"{own[0]} has no effect without a launcher. Add hydra/launcher=NAME: {', '.join(PLUGINS)}."
            )
        return
    if name not in PLUGINS:
        raise ConfigurationError(f"{GROUP}={name}: sweeps run through {', '.join((BASIC, *PLUGINS))}.")
    plugin = PLUGINS[name]
    needed = {"submitit_slurm": "submitit", "submitit_local": "submitit"}.get(name, name)
    if not (_is_there("hydra_plugins", plugin.package) and _is_there(needed)):
        raise DependencyError(
            f"{GROUP}={name} needs Hydra's plugin {plugin.package.replace('_', '-')}, which is not installed here: "
            f"pip install 'touchstone[{plugin.extra}]'."
        )


def _is_there(*path: str) -> bool:
    try:
        return find_spec(".".join(path)) is not None
    except ModuleNotFoundError:  # not even what it lies in
        return False

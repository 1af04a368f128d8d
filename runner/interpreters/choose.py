"""Which interpreter runs the ranks of a case: the one its YAML names, its framework's own, or this process's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hardware.child import ROOT
from runner.config.schema import Case
from runner.core.tasks import TASKS

PYTHON = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")
"""Where a virtual environment has its interpreter."""


def environment_of(framework: str, root: Path = ROOT) -> Path:
    """The environment that `make environment FRAMEWORK=NAME` makes; it need not be there."""
    return root / f".venv-{framework}"


def how_to_make(framework: str, root: Path = ROOT) -> str:
    """A sentence on the environment that a framework can have for itself; empty where it has no lock for it."""
    if not (root / "locks" / f"{framework}.lock").is_file():
        return ""
    return f" In an environment of its own, which is then used for it: make environment FRAMEWORK={framework}."


def interpreter_of(case: Case, root: Path = ROOT) -> Path | None:
    """The interpreter of a case's ranks on this machine; None: the one of this process.

    Args:
        case: what runs. A task that uses no device, such as inspect, has no use for the framework's packages.
        root: folder of the project.
    """
    if not TASKS.find(case.task.name).on_device:
        return None
    given = case.framework.python
    if given is None:
        return own_interpreter(case.framework.name, root)
    # Links are not followed: a virtual environment's interpreter is one to that which made it.
    path = Path(os.path.abspath(Path(given).expanduser()))  # noqa: PTH100 -- see above
    return None if _is_this_process(path) else path


def own_interpreter(framework: str, root: Path = ROOT) -> Path | None:
    """The interpreter of a framework's own environment; None where it has none, or this process runs in it."""
    path = environment_of(framework, root) / PYTHON
    return path if path.is_file() and not _is_this_process(path) else None


def _is_this_process(path: Path) -> bool:
    return path.parent == Path(sys.executable).parent and path.exists() and path.samefile(sys.executable)


def environment_name(prefix: str = sys.prefix, root: Path = ROOT) -> str:
    """How results call the environment of a process: by its folder's name beside the project, else by path."""
    path = Path(prefix)
    return path.name if path.parent == root else str(path)

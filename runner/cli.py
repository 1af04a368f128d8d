"""The command line: Hydra composes, the engine runs. Imports nothing heavy before the worker has started."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware.detect import detect_vendor
from runner.commandline.quoting import shown
from runner.commandline.tools import TOOLS
from runner.core.errors import DependencyError, InterruptedRunError
from runner.core.interrupts import Interrupts
from runner.core.storage import check_working_directory
from runner.messages import chosen

if TYPE_CHECKING:
    from runner.config.division import Division
    from runner.config.schema import Case


def main() -> int:
    """The `touchstone` console script: `touchstone run|report|verify …`."""
    tool, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if tool == "run":
        return run(arguments)
    if tool in TOOLS:
        code: int = import_module(TOOLS[tool][0]).main(arguments)
        return code
    if tool not in ("", "-h", "--help"):
        sys.stderr.write(f"{_no_tool(tool, arguments)}\n\n")
    lines = [f"  touchstone {name:<8}{what}" for name, (_, what) in TOOLS.items()]
    sys.stderr.write("\n".join(["Touchstone, the benchmark engine for AI hardware.", "", *lines, ""]))
    return 0 if tool in ("-h", "--help") else 2


def run(arguments: list[str]) -> int:
    """Compose the case or cases and run them; returns the exit code."""
    try:
        with Interrupts() as interrupts, interrupts.allowed():
            return _run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return InterruptedRunError.exit_code
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        message = f"Error: the Python package {package} is missing here. Install the project's dependencies:"
        sys.stderr.write(f"{message} make run, or: pip install -e .\n")
        return DependencyError.exit_code


def _run(arguments: list[str]) -> int:
    from runner.commandline.explain import USER_ERRORS, explain
    from runner.config import resolvers

    resolvers.register()
    try:
        chosen(None)
    except ValueError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    try:
        return _answer(arguments)
    except SystemExit as ending:  # Hydra has shown what was asked for, or said with 1 what is wrong
        return 0 if ending.code in (None, 0) else 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except USER_ERRORS as error:
        sys.stderr.write(f"Error: {explain(error)}\n")
        return getattr(error, "exit_code", 2)
    except OSError as error:
        if error.filename is None:
            raise
        hint = "Choose another place with run.root=FOLDER."
        sys.stderr.write(f"Error: {shown(str(error.filename))} cannot be written: {error.strerror}. {hint}\n")
        return 2


def _answer(arguments: list[str]) -> int:
    """Show what a flag asks for, or run."""
    from runner.commandline.arguments import read_arguments
    from runner.config.search_path import take_search_path

    check_working_directory()
    read = read_arguments(arguments)
    if "--version" in read.flags:
        sys.stdout.write(f"touchstone {version('touchstone')}\n")
        return 0
    take_search_path(read.overrides)
    added = added_vendor(read.overrides)
    from runner.config.compose import composing
    from runner.config.plan import added_model, plan

    if read.flags:
        _show([*read.flags, *read.overrides, *added, *added_model(read.overrides)])
        return 0

    with composing():
        plans = plan(read, added)
    if read.sweep:
        from runner.launch.sweep import run_sweep
        from runner.sweeping.distribution import distribution_of

        elsewhere = distribution_of(read.launcher, plans, vendor_detected=bool(added))
        return run_sweep(plans, vendor_detected=bool(added), typed=read.overrides, elsewhere=elsewhere)
    from runner.core.registries import LAUNCHERS
    from runner.launch.refused import say
    from runner.launch.submit import run_case
    from runner.launchers.base import Launcher
    from runner.sweeping.job_files import tell_place

    (one,) = plans
    if one.case is None:
        raise one.error or AssertionError("an invalid case has an error")
    detected = bool(added)
    launcher: Launcher = LAUNCHERS.find(one.case.launcher.name)(one.case, say)
    if (instead := launcher.instead(arguments, one.folder(), vendor_named=not detected)) is not None:
        return _elsewhere(one.case, one.folder(), one.division, instead)
    return run_case(
        *(one.case, one.folder(), one.division),
        forked=False,
        vendor_detected=detected,
        tuning=one.tuning,
        placed=tell_place,
    )


def _elsewhere(case: Case, folder: Path, changes: Division, run: Callable[[], int]) -> int:
    """What a launcher does in the place of running the case; where nothing of it ever ran, that is recorded."""
    from runner.core.errors import TouchstoneError
    from runner.launch.refused import record, say

    try:
        return run()
    except TouchstoneError as error:
        if (folder / "run.yaml").exists():
            say(f"Error: {error}")
        else:
            record(case, folder, changes, error)
        return error.exit_code


def _show(arguments: list[str]) -> None:
    """Hydra's own answers: `--help`, `--cfg job` and the like. It ends the process, or raises."""
    import hydra

    from runner.config.compose import naming_broken_files

    @hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
    def nothing(_config: Any) -> None:
        """What Hydra would run, had it not been asked to show something."""

    with _arguments(arguments), _plain_errors(), naming_broken_files():
        nothing()


def with_vendor(arguments: list[str]) -> list[str]:
    """The arguments with the vendor found on this machine, unless they name one."""
    return [*arguments, *added_vendor(arguments)]


def added_vendor(overrides: list[str]) -> list[str]:
    """The vendor found on this machine, unless the overrides name one."""
    named = any(override.lstrip("+").startswith("vendor=") for override in overrides)
    return [] if named else [f"vendor={detect_vendor()}"]


def _no_tool(word: str, rest: list[str]) -> str:
    if word.startswith("-") or "=" in word:
        return f"Cases are run by: touchstone run {shown(' '.join([word, *rest]))}"
    near = get_close_matches(word, TOOLS, n=1, cutoff=0.5)
    if near:
        return f"There is no command {word}. Did you mean touchstone {near[0]}?"
    return f"There is no command {shown(word)}."


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    """Hydra reads the process's own arguments."""
    saved = sys.argv
    sys.argv = ["python -m runner", *arguments]
    try:
        yield
    finally:
        sys.argv = saved


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Have Hydra raise its errors instead of printing them its own way."""
    name = "HYDRA_FULL_ERROR"
    saved = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if saved is None:
            del os.environ[name]
        else:
            os.environ[name] = saved

"""The command line: Hydra composes, the engine runs. Imports nothing heavy before the worker has started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from hardware.detect import detect_vendor
from runner.errors import DependencyError

TOOLS = {
    "run": ("runner.cli", "one case, or a sweep with -m"),
    "report": ("runner.report.__main__", "show and compare results"),
    "verify": ("runner.verify.__main__", "whether a result is intact and may be published"),
    "sync": ("runner.sync", "file results in MLflow"),
    "ui": ("runner.ui", "show results in MLflow's page"),
    "doctor": ("runner.doctor.__main__", "what is on this machine, what is missing, what to do"),
    "peaks": ("runner.peaks.__main__", "measure what this device really reaches"),
    "support": ("runner.support", "print what is supported"),
}
"""Sub-command to its module and what it does; a tool's module has `main(arguments) -> exit code`."""


def main() -> int:
    """The `touchstone` console script: `touchstone run|report|verify …`."""
    tool, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if tool == "run":
        return run(arguments)
    if tool in TOOLS:
        code: int = import_module(TOOLS[tool][0]).main(arguments)
        return code
    lines = [f"  touchstone {name:<8}{what}" for name, (_, what) in TOOLS.items()]
    sys.stderr.write("\n".join(["Touchstone, the benchmark engine for AI hardware.", "", *lines, ""]))
    return 0 if tool in ("-h", "--help") else 2


def run(arguments: list[str]) -> int:
    """Compose the case or cases and run them; returns the exit code."""
    try:
        return _run(arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        message = f"Error: the Python package {package} is missing here. Install the project's dependencies:"
        sys.stderr.write(f"{message} make run, or: pip install -e .\n")
        return DependencyError.exit_code


def _run(arguments: list[str]) -> int:
    import hydra

    from runner import resolvers
    from runner.explain import USER_ERRORS, explain
    from runner.search_path import take_search_path

    resolvers.register()
    complete = with_vendor(arguments)

    @hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
    def task(config: Any) -> None:
        from runner.submit import run_composed

        code, is_sweep = run_composed(config, vendor_detected=complete is not arguments)
        if not is_sweep:
            sys.exit(code)

    with _arguments(complete), _plain_errors():
        try:
            take_search_path(arguments)
            task()
        except SystemExit as ending:
            return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except USER_ERRORS as error:
            sys.stderr.write(f"{explain(error, arguments)}\n")
            return 2
        except OSError as error:
            if error.filename is None:
                raise
            hint = "Choose another place with run.root=FOLDER."
            sys.stderr.write(f"Error: {error.filename} cannot be written: {error.strerror}. {hint}\n")
            return 2
        except KeyboardInterrupt:
            sys.stderr.write("Interrupted.\n")
            return 130
    return 0


def with_vendor(arguments: list[str]) -> list[str]:
    """The arguments with the vendor found on this machine, unless they name one."""
    named = any(argument.lstrip("+").startswith("vendor=") for argument in arguments)
    return arguments if named else [*arguments, f"vendor={detect_vendor()}"]


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

"""Asks the interpreter of a case's ranks what it lacks, where that is another than this process's."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from hardware.child import environment_of_child
from runner.commandline.quoting import shown
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, DependencyError
from runner.interpreters.choose import environment_name, interpreter_of, own_interpreter

LIMIT_S = 60.0
"""Starting takes half a second; a network's file system may be slow."""
ANSWERING = "runner.frameworks.asked"
"""The module that answers there, by name alone: it knows what is asked here."""
PROGRAM = f"import sys; print(sys.version_info[:3], flush=True); from {ANSWERING} import main; sys.exit(main())"
"""Its first line shows that this is a Python at all."""


@dataclass(kw_only=True, slots=True, frozen=True)
class InterpreterAnswer:
    """What an interpreter says of a case; None: nothing is missing."""

    environment: str
    """Its name."""
    framework: str | None
    """What the framework lacks."""
    compiler: str | None
    """What the compiler lacks."""
    device: str | None
    """Why the device cannot be used."""
    packages: dict[str, str]
    """Versions of the framework's distributions."""


def answer_of(case: Case) -> InterpreterAnswer | None:
    """What the interpreter of a case's ranks lacks; None where that is this process's own, which can be asked itself.

    Raises:
        ConfigurationError: `framework.python` is no interpreter, or too old a one.
        DependencyError: the engine cannot be imported in it.
    """
    interpreter = interpreter_of(case)
    if interpreter is None:
        return None
    values = case.to_dict()
    question = {name: values[name] for name in ("compiler", "vendor", "emulate")}
    question |= {"framework": case.framework.name, "has_model": case.has_model}
    return _answer(interpreter, json.dumps(question, sort_keys=True))


def answer_of_environment(framework: str) -> InterpreterAnswer | None:
    """What a framework's own environment lacks for it alone; None where it has none, or this process runs in it.

    Raises:
        TouchstoneError: as `answer_of`.
    """
    interpreter = own_interpreter(framework)
    return None if interpreter is None else _answer(interpreter, json.dumps({"framework": framework}))


@cache
def _answer(interpreter: Path, question: str) -> InterpreterAnswer:
    """Asked once for all cases of a sweep that are alike in this."""
    try:
        done = subprocess.run(
            [str(interpreter), "-P", "-c", PROGRAM],
            input=question,
            env=environment_of_child({}),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except OSError as error:
        raise _no_python(interpreter, error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise DependencyError(f"{interpreter} did not answer within {LIMIT_S:g} s.") from error
    version, _, told = done.stdout.partition("\n")
    problem = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
    if not version.startswith("("):
        raise _no_python(interpreter, problem)
    if done.returncode != 0:
        raise DependencyError(
            f"The engine cannot be started in {interpreter}: {problem}. Its own packages must be there beside the "
            f"framework's: make environment FRAMEWORK={json.loads(question)['framework']} makes such an environment."
        )
    answer: dict[str, Any] = json.loads(told)
    return InterpreterAnswer(environment=environment_name(str(interpreter.parents[1])), **answer)


def _no_python(interpreter: Path, problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"framework.python={shown(str(interpreter))} is no interpreter of Python 3.11 or newer: {problem}. Give the "
        "path of one, such as ENVIRONMENT/bin/python, or leave framework.python out."
    )

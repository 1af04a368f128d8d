"""What the index knows of the cases of run folders: by it an earlier run of a case is found among thousands."""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import yaml
from pydantic import ValidationError

from runner.config.schema import case_from_dict
from runner.core.errors import TouchstoneError
from runner.core.own import ROOT
from runner.core.tasks import TASKS
from runner.record.reading import cause_of, reading
from runner.results.index.contents import ContentKind, maker_of

CASE_FILE = "run.yaml"
SOURCES = (
    *("runner/config", "runner/core", "runner/record", "runner/tasks", "runner/results/index/identities.py"),
    "models/datasets/spec.py",
)
FOLDERS = ("models", "hardware")
"""Of these the files directly inside are sources too: what a case is made of is defined in them."""

LONGEST, MOST_OPENED = 65_536, 1_000
"""Characters of a `run.yaml`, and those among them that can begin a level. A level by indentation takes a line."""


def case_kind(task: str | None = None) -> ContentKind:
    """Cases as `{"identity", "uri", "root"}`, or `{"problem"}` of a value that is not valid.

    The identity is the hash of what decides; `uri` and `root` say where the run was to be filed. An identity depends on
    the code, for a new key with a default is in it: so what other code read is not believed.

    Args:
        task: a task that is looked for; one of an installed package has its own share in the identity.
    """
    return ContentKind(name=CASE_FILE, read=_read_case, maker=f"{_maker()} {_foreign(task)}".strip(), shared=True)


def _read_case(folder: Path) -> str:
    with reading(folder):
        text = (folder / CASE_FILE).read_text()
        # The parser in C, where there is one, is eight times as fast as the one of `load_case`.
        values = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader) if _is_flat(text) else yaml.SafeLoader)
        try:
            case = case_from_dict(values)
        except ValidationError as error:
            if values["task"]["name"] not in TASKS.built_in:
                raise  # its package may be installed later
            return json.dumps({"problem": cause_of(error)})
        return json.dumps({"identity": case.identity, "uri": case.tracking.uri, "root": case.run.root})


def _is_flat(text: str) -> bool:
    """Whether a YAML document cannot be nested so deeply that the parser in C overruns its stack."""
    return len(text) <= LONGEST and sum(map(text.count, "[{-?")) <= MOST_OPENED


@cache
def _maker() -> str:
    beside = [str(path.relative_to(ROOT)) for place in FOLDERS for path in sorted((ROOT / place).glob("*.py"))]
    return f"{maker_of(*SOURCES, *beside)} {version('pydantic')}"


def _foreign(task: str | None) -> str:
    """The hash of a task's module where it is none of the engine's."""
    if task is None:
        return ""
    try:
        module = sys.modules[TASKS.find(task).__module__]
    except (ValueError, KeyError, TouchstoneError):
        return ""
    path = Path(module.__file__ or "")
    return "" if path.is_relative_to(ROOT) or not path.is_file() else maker_of(str(path))

"""The command that runs a case again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from runner.config.division import flatten
from runner.config.schema import Case
from runner.core.tasks import TASKS

_GROUPS = ("task", "model", "framework", "compiler", "vendor", "precision", "topology", "data", "measure")
_PLAIN = re.compile(r"[\w./+-]+")


def command(case: Case, changed: Iterable[Mapping[str, Any]] = ()) -> str:
    """`python -m runner task=… model=…`, with every choice and every value that differs from the reference.

    Args:
        case: what was run.
        changed: as a report's division lists it.
    """
    words = {key: getattr(case, key).name for key in _GROUPS if key != "model" or case.has_model}
    words |= {"topology.devices": case.topology.devices} if case.topology.name != "single" else {}
    words |= {"topology.nodes": case.topology.nodes} if case.topology.name == "cluster" else {}
    if TASKS.find(case.task.name).serves:
        values = flatten(case.to_dict()["load"], "load.")
        words |= {"load": case.load.name}
        words |= {key: value for key, value in values.items() if value not in (None, {}) and key != "load.name"}
    words |= {"data.root": case.data.root} if case.data.root else {}
    words |= {"scale": case.scale} if case.scale != "reference" else {}
    words |= {"emulate": True} if case.emulate else {}
    words |= {str(one["key"]): one["value"] for one in changed if one["value"] is not None}
    return " ".join(["python -m runner", *(_typed(key, value) for key, value in words.items())])


def _typed(key: str, value: Any) -> str:
    """One argument, as the command line's grammar and the shell take it."""
    if isinstance(value, str):
        text = value if _PLAIN.fullmatch(value) else '"' + value.replace('"', '\\"') + '"'
    else:
        text = json.dumps(value, separators=(",", ":"))
    return shlex.quote(f"{key}={text}")

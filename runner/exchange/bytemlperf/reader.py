"""Reader of ByteMLPerf's results: general_perf's and llm_perf's JSON, micro_perf's JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError
from runner.exchange.base.files import json_of
from runner.exchange.base.imported import Imported
from runner.exchange.bytemlperf import general, llm, micro

NAME = "bytemlperf"


def detect(path: Path) -> bool:
    """Whether a file is one of ByteMLPerf's results, or several as our writer puts them into a list."""
    if micro.detect(path):
        return True
    return any(_is_result(one) for one in _objects(path))


def read(path: Path) -> list[Imported]:
    """Read a file: a result for each object, of llm_perf for each number of devices.

    Raises:
        ConfigurationError: it is of a version that is not known, or a figure is no number.
    """
    if micro.detect(path):
        return micro.read(path)
    found: list[Imported] = []
    for one in _objects(path):
        if not _is_result(one):
            raise ConfigurationError(f"{path}: one of its objects has no Model, Backend and Performance.")
        reader = llm.read if llm.is_llm(one) else general.read
        found += reader(one, path)
    return found


def _objects(path: Path) -> list[Any]:
    content = json_of(path)
    return content if isinstance(content, list) else [content]


def _is_result(content: Any) -> bool:
    if not isinstance(content, dict) or not {"Model", "Backend"} <= content.keys():
        return False
    return isinstance(content.get("Performance"), list) or isinstance(content.get("Accuracy"), dict)

"""Importing fixtures of other tools' formats as the command does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.exchange.as_report import to_report
from runner.exchange.formats import find
from runner.exchange.supplied import parse_supplied
from runner.record.report import Report

DATA = Path(__file__).parents[3] / "data"


@pytest.fixture
def data() -> Path:
    """The fixtures, a folder for each format."""
    return DATA


@pytest.fixture
def imports() -> Callable[..., list[Report]]:
    """Reports of a path, with what `--set` supplies."""

    def read(path: Path, *pairs: str) -> list[Report]:
        supplied = parse_supplied(pairs)
        return [to_report(one, supplied) for place, form in find(path) for one in form.read(place)]

    return read


@pytest.fixture
def flagperf_run(tmp_path: Path) -> Callable[..., Path]:
    """A result folder as FlagPerf lays it out; gives the folder of its run."""

    def lay_out(key: str = "resnet50:pytorch_2.0:A100:1:2:1", kind: str = "node", nodes: int = 1) -> Path:
        run = tmp_path / "result" / "run20260101120000"
        for index in range(nodes):
            place = run / key / "round1" / f"10.1.0.{index + 1}_noderank{index}"
            shutil.copytree(DATA / "flagperf" / kind, place)
        return run

    return lay_out

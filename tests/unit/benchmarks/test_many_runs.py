"""The benchmark's folders are such as the engine leaves: found, read, resumed and known to be filed."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tracking_samples import fresh_database

from benchmarks import many_runs
from benchmarks.engine import compose_case
from runner.config.schema import load_case
from runner.launch.folder import find_earlier
from runner.results.index import roots_of, summaries
from runner.tools.filed import Filed


@pytest.fixture
def root(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs of two cases."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), folder / "mlflow.db")
    made = compose_case(*many_runs.COMPOSITIONS[0], *many_runs.ALWAYS, f"run.root={folder}")
    cases = [replace(made, seed=seed) for seed in (1, 2)]
    many_runs.hold(folder / "mlflow.db", many_runs.make_runs(folder, 0, 6, cases))
    return folder


def test_they_are_found_resumed_and_known_to_be_filed(root: Path) -> None:
    found, problems = summaries([root])
    assert len(found) == 6 and not problems and all(one.intact for one in found)
    assert [one.figures["throughput/steady"].value for one in found] == [100.0 + number / 7 for number in range(6)]
    folder = next(root.glob("*/*/3_*"))
    assert Counter(one.case["identity"] for one in found)[load_case(folder).identity] == 3
    earlier = find_earlier(load_case(folder), root)
    assert earlier is not None and load_case(earlier).seed == load_case(folder).seed
    settled, closed = Filed(roots=roots_of([root]), uri=None).of([one.folder for one in found])
    assert set(settled.values()) == {("already there", "")} and len(settled) == 6
    assert closed == {folder.parent}


def test_reports_are_as_long_as_real_ones(root: Path) -> None:
    sizes = [path.stat().st_size for path in root.glob("*/*/*/report.json")]
    assert 16_000 < min(sizes) <= max(sizes) < 40_000


def test_its_questions_are_answered(root: Path) -> None:
    asked = many_runs.commands(root)
    told = {name: subprocess.run(asked[name], capture_output=True, text=True, check=True).stdout for name in asked}
    assert told["summaries"].strip() == "6" and told["resume"].strip()
    assert "6 already there" in told["sync"] and "bert" in told["report"]

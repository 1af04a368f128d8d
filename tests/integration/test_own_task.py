"""A task of an installed package, from the command line to its report."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import run

METADATA = "Metadata-Version: 2.1\nName: dice-bench\nVersion: 1\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the package is installed in; its module is `tests/support/dice.py`."""
    installed = tmp_path / "site" / "dice_bench-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(METADATA)
    (installed / "entry_points.txt").write_text("[touchstone.tasks]\ndice = dice:Dice\n")
    monkeypatch.setenv("PYTHONPATH", f"{installed.parent}", prepend=":")
    return installed.parent


def test_it_runs_from_the_command_line_to_its_report(site: Path, tmp_path: Path) -> None:
    ended = run(tmp_path / "out", "task=dice", "vendor=cpu", "task.rolls=8")
    assert ended.code == 0, ended.out
    (report,) = ended.found
    assert report["case"]["task"] == "dice" and report["case"]["model"] is None
    # 1 + 2 + 3 + 4 + 5 + 6 + 1 + 2
    assert report["figures"] == {
        "dice/sum": {"value": 24.0, "unit": "pips", "reason": None, "interval": None, "repeats": None}
    }
    assert "rolling the dice" in ended.out and "Sum of the dice" in ended.out and "Computed" in ended.out
    assert "model: null" in (ended.folder / "run.yaml").read_text()


def test_help_lists_it(site: Path, tmp_path: Path) -> None:
    ended = run(tmp_path / "out", "--help", "vendor=cpu")
    assert ended.code == 0 and "task: converge, dice, infer, inspect, train" in ended.out

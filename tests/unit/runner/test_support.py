"""The support tables follow from conf/, committed results and the test-suite; README and docs hold what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.core.errors import ConfigurationError
from runner.record.names import FIGURES
from runner.tools import support
from runner.tools.support import Measured, emulated, fill, main, measured, status

ROOT = Path(__file__).parents[3]
WRITTEN = ("README.md", "docs/results.md")


def results(root: Path, content: Any, name: str = "speed_2026-03-04.json") -> list[Measured]:
    folder = root / "benchmarks" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return measured(root)


def report(**changes: Any) -> dict[str, Any]:
    case = {"vendor": "nvidia", "chip": "H200 SXM 141GB", "model": "bert", "scale": "reference", "emulated": False}
    return {"status": "done", "case": {**case, **changes}, "published": [{"chip": "A100", "figure": "x", "value": 1}]}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_up_to_date(name: str) -> None:
    text = (ROOT / name).read_text()
    assert fill(text) == text, f"run: python -m runner.support --write {' '.join(WRITTEN)}"


def test_a_planted_change_is_found_and_mended(tmp_path: Path) -> None:
    right = (ROOT / "README.md").read_text()
    planted = right.replace("| `bert` | sequences |", "| `bert` | words |")
    assert planted != right
    file = tmp_path / "README.md"
    file.write_text(planted)
    assert fill(planted) == right
    assert main(["--write", str(file)]) == 0
    assert file.read_text() == right


def test_exported_reports_count_with_the_date_of_their_file(tmp_path: Path) -> None:
    (one,) = results(tmp_path, [report()])
    expected = Measured(vendor="nvidia", chip="H200 SXM 141GB", model="bert", scale="reference", date="2026-03-04")
    assert one == expected


@pytest.mark.parametrize("change", [{"emulated": True}, {"chip": None}, {"vendor": None}])
def test_an_emulated_run_and_one_without_its_chip_count_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    assert results(tmp_path, [report(**change)]) == []


def test_a_failed_run_counts_nothing(tmp_path: Path) -> None:
    assert results(tmp_path, [report() | {"status": "failed"}]) == []


def test_a_benchmark_of_the_engine_counts_for_the_cpu_it_ran_on(tmp_path: Path) -> None:
    content = {
        "date": "2026-05-06",
        "host": {"cpu": "Some CPU"},
        "asked": {"vendor": "cpu"},
        "models": {"bert": {"scale": "tiny"}},
    }
    found = results(tmp_path, content)
    assert {(one.vendor, one.chip, one.model, one.scale, one.date) for one in found} == {
        ("cpu", "Some CPU", None, None, "2026-05-06"),
        ("cpu", "Some CPU", "bert", "tiny", "2026-05-06"),
    }
    content["asked"] = {"vendor": "nvidia"}  # the host's processor is not the chip that was measured
    assert results(tmp_path, content) == []


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    results(tmp_path, [])
    (tmp_path / "benchmarks" / "results" / "cut.json").write_text("[{")
    with pytest.raises(ConfigurationError, match=r"cut\.json"):
        measured(tmp_path)


def test_commands_of_the_tests_show_what_is_emulated(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    source = 'run(path, "vendor=acme", "emulate=true")\nrun(path, "vendor=other")\n'
    (tmp_path / "tests" / "test_some.py").write_text(source)
    (command,) = emulated(tmp_path)
    assert command == {"vendor=acme", "emulate=true"}


def test_status_prefers_the_stronger_evidence() -> None:
    commands = [frozenset({"vendor=acme", "emulate=true"})]
    one = Measured(vendor="acme", chip="A1", model="bert", scale="tiny", date="2026-01-01")
    later = Measured(vendor="acme", chip="A1", model="bert", scale="tiny", date="2026-02-02")
    assert status([later, one], commands, "vendor=acme", with_scale=False) == "measured: A1, 2026-02-02"
    assert status([one], [], "model=bert", with_scale=True) == "measured: tiny on A1, 2026-01-01"
    assert status([], commands, "vendor=acme", with_scale=False) == "emulated"
    assert status([], commands, "vendor=none", with_scale=False) == "not verified"


@pytest.mark.parametrize("group", ["vendor", "model"])
def test_every_choice_has_its_row(group: str) -> None:
    table = {"vendor": support.vendor_table, "model": support.model_table}[group]([], [])
    rows = [line.split("|")[1].strip(" `") for line in table.splitlines()[2:]]
    assert rows == support.choices(group) and len(rows) > 2


def test_a_row_holds_what_conf_says() -> None:
    rows = {line.split("|")[1].strip(): line for line in support.model_table([], []).splitlines()}
    assert "mlm_accuracy ≥ 0.71" in rows["`bert`"]
    assert "600 sequences/s on 8 x A100-SXM4-40GB, fp16" in rows["`bert`"]
    assert "perplexity ≤ 170.7" in rows["`llama2_7b`"]
    vendors = support.vendor_table([], [])
    assert "`/dev/xpu[0-9]*`, torch.cuda (torch_xmlir)" in vendors


def test_every_figure_is_listed_once() -> None:
    names = [line.split("|")[1].strip(" `") for line in support.figure_table().splitlines()[3:]]
    assert names == list(FIGURES)


def test_a_file_without_markers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.md"
    file.write_text("nothing here\n")
    assert main(["--write", str(file)]) == 2
    assert "support:begin" in capsys.readouterr().err
    assert file.read_text() == "nothing here\n"

import time
from pathlib import Path

import pytest
from pages import ReadPage, source_hash
from report_samples import failed, report, saved

from runner.tools.report import main
from runner.tools.report_formats import to_html
from runner.views.comparable import RunResult


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two precisions and two vendors that compare, an emulated run, and two failures."""
    root = tmp_path / "set"
    saved(root / "0_fp32", report(values={"throughput/steady": 500.0}, intervals={"throughput/steady": (490.0, 510.0)}))
    saved(root / "1_bf16", report(values={"throughput/steady": 750.0}, precision="bf16", identity="1" * 64))
    saved(root / "2_xpu", report(values={"throughput/steady": 400.0}, vendor="kunlunxin", chip="P800"))
    saved(root / "3_em", report(values={"throughput/steady": 9.0}, vendor="kunlunxin", chip="R300", emulated=True))
    saved(root / "4_int8", failed(precision="int8", message="vendor=nvidia does not offer precision=int8."))
    saved(root / "5_nan", failed(precision="fp16"))
    return root


def page_of(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> ReadPage:
    assert main([str(root), "--format", "html", *options]) == 0
    return ReadPage(capsys.readouterr().out)


def test_a_row_for_each_measured_run_with_figure_and_interval(mixed, capsys):
    rows = page_of(mixed, capsys).rows
    head = next(row for row in rows if row[0] == "Status")
    assert "Result" in head and "95 % interval" in head
    assert "Throughput, steady, higher is better" in next(row for row in rows if row[0].startswith("train · bert"))[0]
    told = [row for row in rows if row[0] == "done"]
    assert [row[:4] for row in told] == [
        ["done", "nvidia (A100-SXM4-40GB)", "fp32", "500.0 sequences/s"],
        ["done", "nvidia (A100-SXM4-40GB)", "bf16", "750.0 sequences/s"],
        ["done", "kunlunxin (P800)", "fp32", "400.0 sequences/s"],
        ["done", "kunlunxin (R300)", "fp32", "9.000 sequences/s"],
    ]
    assert told[0][4] == "490.0 to 510.0"


def test_emulated_runs_stand_in_a_group_of_their_own(mixed, capsys):
    page = page_of(mixed, capsys)
    groups = [row[0] for row in page.rows if row and row[0].startswith("train · bert")]
    assert ["EMULATED" in group for group in groups] == [False, True]
    beside = [heading for heading in page.headings if heading.startswith("train · bert")]
    assert len(beside) == 4, "performance and resources, each of both groups"
    assert page.shown.count("EMULATED") >= 3


def test_failures_are_one_line_with_their_reasons_behind_it(mixed, capsys):
    shown = page_of(mixed, capsys).shown
    assert "2 of 6 runs failed: 2 x DivergedError (exit 7)" in shown
    assert "The loss became NaN at step 12." in shown


def test_bar_chart_is_of_what_was_measured(mixed, capsys):
    page = page_of(mixed, capsys)
    name, spec = next((name, spec) for name, spec in page.data.items() if name.startswith("speed_"))
    values = {
        row["value"] for layer in spec["layer"] for row in layer.get("data", {}).get("values", []) if "value" in row
    }
    assert values == {500.0, 750.0, 400.0}, name
    assert page.allowed("script-src") == [source_hash(script) for script in page.scripts]


def test_adaptation_is_in_the_page_for_programs_too(mixed, capsys):
    page = page_of(mixed, capsys)
    by_vendor = {(one["name"], one["emulated"]): one for one in page.data["adaptation"]["vendor"]}
    assert set(by_vendor) == {("nvidia", False), ("kunlunxin", False), ("kunlunxin", True)}
    row = next(row for row in page.rows if row[0] == "nvidia" and "/" in row[1])
    assert row[1].startswith(f"{by_vendor['nvidia', False]['ran']} / {by_vendor['nvidia', False]['asked']} (")


def test_each_run_has_its_detail(mixed, capsys):
    page = page_of(mixed, capsys)
    assert page.tags.count("details") >= 6
    assert "Training: bert in bf16 on A100-SXM4-40GB · 1_bf16" in page.shown


def test_set_of_failures_alone_has_a_page(tmp_path, capsys):
    saved(tmp_path / "a", failed())
    saved(tmp_path / "b", failed(message="Other.", precision="bf16"))
    page = page_of(tmp_path, capsys)
    assert "No run of these was measured to its end." in page.shown
    assert "2 of 2 runs failed" in page.shown


@pytest.mark.timeout(120)
def test_three_thousand_runs_are_a_page_of_reasonable_size():
    runs = [
        RunResult(
            report=report(
                values={"throughput/steady": 100.0 + index}, model=f"m{index % 40}", identity=f"{index:064d}"
            ),
            folder=Path(f"/runs/2026-01-01/{index:06d}_run"),
        )
        for index in range(3000)
    ]
    began = time.monotonic()
    text = to_html(runs)
    assert time.monotonic() - began < 60
    assert len(text.encode()) < 10e6
    page = ReadPage(text)
    assert sum(row[0] == "done" for row in page.rows) == 3000
    assert "3000 runs are too many for one page" in page.shown

import re
from pathlib import Path

import pytest
from pages import ReadPage, source_hash
from plot_samples import write_steps
from report_samples import NO_SENSOR, failed, report, saved

from runner.record.report import load_report
from runner.tools.report import main

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>"


def page_of(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> ReadPage:
    assert main([str(folder), "--format", "html", *options]) == 0
    return ReadPage(capsys.readouterr().out)


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A run with steps, so that there are charts."""
    intervals = {"throughput/steady": (500.5, 520.25)}
    folder = saved(
        tmp_path / "run", report(published=True, intervals=intervals, warnings=["First. Second."], repeats=3)
    )
    write_steps(folder)
    return folder


def test_page_runs_only_its_own_scripts_and_loads_nothing(measured, capsys):
    page = page_of(measured, capsys)
    assert page.loads == [] and page.handlers == []
    assert page.allowed("default-src") == ["'none'"]
    assert page.allowed("script-src") == [source_hash(script) for script in page.scripts]
    assert len(page.scripts) == 2
    assert page.allowed("style-src-elem") == [source_hash(style) for style in page.styles]
    assert "unsafe-eval" not in page.policy and not re.search(r"script-src[^;]*unsafe", page.policy)
    for drawn in page.data.values():
        assert "url" not in str(drawn.get("data", {})), "charts hold their own data"


def test_page_without_charts_has_no_script(tmp_path, capsys):
    page = page_of(saved(tmp_path / "run", report()), capsys)
    assert page.allowed("script-src") in (["'none'"], [source_hash(script) for script in page.scripts])


def test_first_screen_says_what_ran_its_numbers_and_what_they_are_held_against(measured, capsys):
    page = page_of(measured, capsys)
    assert page.headings[0] == "Training: bert in fp32 on A100-SXM4-40GB"
    assert page.headings[1:4] == ["Throughput, steady", "Model FLOPs utilisation (MFU)", "Tokens per second"]
    shown = page.shown
    assert "512.3 sequences/s 95 % interval 500.5 to 520.2, 3 repeats" in shown
    assert "50.0 % of the chip's roofline, 1,024 sequences/s" in shown
    assert "41.2 % measured once: no interval" in shown
    assert shown.index("41.2 %") < shown.index("Throughput over time") < shown.index("Correctness")


def test_sections_are_the_four_dimensions_and_what_stands_behind_them(measured, capsys):
    headings = page_of(measured, capsys).headings
    wanted = ["Correctness", "Performance", "Resources", "Ecosystem adaptation", "Published by others"]
    wanted += ["Division and publication", "Environment", "Provenance"]
    assert [heading for heading in headings if heading in wanted] == wanted


def test_every_figure_stands_in_the_page_as_in_the_report(measured, capsys):
    page = page_of(measured, capsys)
    named = {row[-1]: row for row in page.rows if re.fullmatch(r"[a-z]+/\w+", row[-1])}
    made = load_report(measured / "report.json")
    with_value = {name for name, figure in made.figures.items() if figure.value is not None}
    assert set(named) == with_value - {"run/emulated", "run/publishable"}
    assert named["throughput/steady"][:4] == ["Throughput, steady", "512.3", "sequences/s", "500.5 to 520.2"]
    assert named["compute/parameters"][1:3] == ["335.2", "M parameters"]
    assert named["compute/mfu"][1:3] == ["41.2", "%"]
    why = next(row for row in page.rows if row[-1] == NO_SENSOR and "Energy per sample" in row[0])
    assert "Power, devices, mean" in why[0]


def test_provenance_holds_hash_and_how_to_check(measured, capsys):
    shown = page_of(measured, capsys).shown
    assert load_report(measured / "report.json").to_dict()["hash"] in shown
    assert f"python -m runner.verify {measured}" in shown


def test_published_figures_stand_beside_measured(measured, capsys):
    rows = page_of(measured, capsys).rows
    (row,) = [row for row in rows if "FlagPerf training/nvidia/bert-pytorch" in row]
    assert "8 x A100-SXM4-40GB" in row and "600.0" in row


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hostile_text_is_inert_wherever_it_comes_from(tmp_path, capsys, language):
    made = report(
        warnings=[NASTY], reason=NASTY, model=NASTY, chip=NASTY, vendor=NASTY,
        changed=[{"key": NASTY, "value": NASTY, "reference": NASTY, "allowed": False}], division="open",
    )  # fmt: skip
    made.environment = {NASTY: NASTY, "devices": [{NASTY: NASTY}]}
    made.points = [{NASTY: NASTY}]
    folder = saved(tmp_path / "<script>alert(4)<", made)
    write_steps(folder)
    page = page_of(folder, capsys, "--lang", language)
    assert page.handlers == [] and page.loads == []
    assert "img" not in page.tags and "svg" not in page.tags
    assert all("alert(" not in script for script in page.scripts)
    assert page.allowed("script-src") == [source_hash(script) for script in page.scripts]
    assert "alert(1)" in page.shown


def test_hostile_failure_is_inert_in_a_set(tmp_path, capsys):
    saved(tmp_path / "set" / "a", failed(message=NASTY, model=NASTY))
    saved(tmp_path / "set" / "<b>&", report(model=NASTY))
    page = page_of(tmp_path / "set", capsys)
    assert page.handlers == [] and page.loads == [] and "img" not in page.tags
    assert all("alert(" not in script for script in page.scripts)


def test_emulated_run_looks_like_no_real_one(tmp_path, capsys):
    page = page_of(saved(tmp_path / "run", report(emulated=True, vendor="kunlunxin", chip="P800")), capsys)
    assert page.headings[0] == "Training: bert in fp32, kunlunxin's configuration on the host CPU"
    assert "EMULATED on the host CPU: says nothing about this vendor's chips" in page.shown
    assert page.shown.startswith("Training") or "EMULATED" in page.text, "a watermark lies over the page"


def test_unmeasured_main_figure_is_said_not_replaced_by_zero(tmp_path, capsys):
    page = page_of(saved(tmp_path / "run", failed()), capsys)
    assert "not measured the run ended with DivergedError before it was measured" in page.shown
    assert "Failed (exit 7, DivergedError)" in page.shown and "The loss became NaN at step 12." in page.shown


def test_language_of_the_page(measured, capsys, monkeypatch):
    assert page_of(measured, capsys).lang == "en"
    assert page_of(measured, capsys, "--lang", "zh").lang == "zh-CN"
    monkeypatch.setenv("TOUCHSTONE_LANG", "zh")
    assert page_of(measured, capsys).lang == "zh-CN"
    assert main([str(measured), "--lang", "fr"]) == 2
    assert "--lang=fr: there is no such language here. Choose one of: en, zh." in capsys.readouterr().err


def test_older_schema_is_shown_and_a_newer_one_refused(measured, capsys):
    file = measured / "report.json"
    text = file.read_text()
    file.write_text(text.replace('"schema_version": 4', '"schema_version": 99'))
    assert main([str(measured), "--format", "html"]) == 2
    assert "schema 99" in capsys.readouterr().err

import io

from report_samples import NO_SENSOR, failed, report
from rich.console import Console

from runner.record.report import Figure
from runner.record.task import figures_for
from runner.views.page import Grid, Note, to_markdown, to_text
from runner.views.tables import page, table


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def first_grid(made) -> dict[str, list[str]]:
    grid = next(block for block in made.blocks if isinstance(block, Grid))
    return {row[0]: row[1:] for row in grid.rows}


def notes(made, kind: str) -> list[str]:
    return [block.text for block in made.blocks if isinstance(block, Note) and block.kind == kind]


def test_first_screen_of_a_measured_run():
    shown = lines(to_text(page(report())))
    assert shown[0] == "train · bert · reference · fp32 · nvidia (A100-SXM4-40GB)"
    assert "Throughput, steady 512.3 sequences/s" in shown
    assert "Roofline of the chip 1,024 sequences/s 50.0 % of it reached" in shown
    assert "Model FLOPs utilisation (MFU) 41.2 %" in shown
    assert "Speed was steady yes" in shown
    assert "done" in shown


def test_energy_without_a_sensor_is_on_the_first_screen_with_its_reason():
    for task in ("train", "converge"):
        row = first_grid(page(report(task=task)))["Energy per sample"]
        assert row == ["-", "", NO_SENSOR]


def test_the_same_reason_is_not_repeated():
    made = first_grid(page(report()))
    assert made["Power, devices, mean"] == ["-", "", "as above"]
    other = report()
    other.figures["power/device_mean_w"] = Figure(value=None, unit="W", reason="another reason")
    assert first_grid(page(other))["Power, devices, mean"] == ["-", "", "another reason"]


def test_reason_of_many_lines_is_told_once_below():
    reason = "the catalogue has no such chip\nTo add it, append:\n  - name: X"
    made = page(report(reason=reason), every_figure=True)
    assert first_grid(made)["Energy per sample"][2] == "the catalogue has no such chip"
    text = to_text(made)
    assert text.count("To add it, append:") == 1
    assert "  - name: X" in text.splitlines()
    assert "What to do about missing figures" in notes(made, "heading")
    assert "\n```text\nthe catalogue has no such chip\nTo add it, append:\n  - name: X\n```\n" in to_markdown(made)
    for quiet in (page(report(), every_figure=True), page(report(reason=reason))):
        assert "What to do about missing figures" not in notes(quiet, "heading")


def test_quality_is_held_against_its_target():
    assert first_grid(page(report(task="converge")))["mlm_accuracy, best evaluation"][2] == "target ≥ 0.2: reached"
    missed = report(task="converge", values={"quality/mlm_accuracy": 0.1})
    assert first_grid(page(missed))["mlm_accuracy, best evaluation"][2] == "target ≥ 0.2: not reached"
    lower = report(task="converge", quality_mode="min", values={"quality/mlm_accuracy": 0.1})
    assert first_grid(page(lower))["mlm_accuracy, best evaluation"][2] == "target ≤ 0.2: reached"


def test_unmeasured_limit_says_why_and_reaches_nothing():
    made = report(
        without=("roofline/throughput_samples_per_second", "roofline/fraction"), reason="the chip is not known"
    )
    assert first_grid(page(made))["Roofline of the chip"][0] == "-"
    assert "the chip is not known" in first_grid(page(made))["Roofline of the chip"][2]


def test_speed_that_was_not_steady_is_explained():
    made = report(values={"run/steady": 0.0})
    assert first_grid(page(made))["Speed was steady"] == ["no", "", "the speed still changed when measuring began"]


def test_intervals_have_a_column_only_when_there_are_some():
    without = next(block for block in page(report()).blocks if isinstance(block, Grid))
    assert without.header == ["Measured", "Value", "Unit", "Note"]
    made = page(report(intervals={"throughput/steady": (500.14, 520.86)}))
    assert first_grid(made)["Throughput, steady"][2] == "500.1 to 520.9"
    assert first_grid(made)["Step time, median"][2] == ""


def test_every_figure_of_the_report_has_a_row():
    for task in ("train", "converge", "inspect"):
        made = report(task=task)
        grids = [block for block in page(made, every_figure=True).blocks if isinstance(block, Grid)]
        assert sorted(row[0] for row in grids[1].rows) == sorted(figures_for(task, ["mlm_accuracy"]))


def test_inspect_shows_what_was_counted():
    made = page(report(task="inspect", reason="no chip"))
    assert first_grid(made)["Parameters"] == ["335.2", "M parameters", ""]
    assert first_grid(made)["Peak of the chip(s)"][:2] == ["312.0", "TFLOP/s"]
    assert "Computed" in to_text(made)


def test_a_figure_this_version_does_not_know_is_shown():
    made = report()
    made.figures["plugin/score"] = Figure(value=3.5, unit="points")
    assert "plugin/score 3.500 points" in lines(to_text(page(made, every_figure=True)))


def test_marks():
    text = to_text(page(report(emulated=True, scale="tiny", measure="smoke", values={"run/publishable": 0.0})))
    assert "EMULATED" in text
    assert "TINY" in text
    assert "never compare with reference" in text
    assert "measure=smoke" in text
    assert notes(page(report()), "mark") == []


def test_failed_run_shows_its_error_once_and_no_row_of_dashes():
    made = page(failed())
    assert notes(made, "error") == ["FAILED (exit 7, DivergedError)", "The loss became NaN at step 12."]
    assert not any(isinstance(block, Grid) for block in made.blocks)
    assert "Nothing was measured: the run ended with DivergedError before it was measured." in notes(made, "plain")
    assert notes(page(failed(), with_error=False), "error") == ["FAILED (exit 7, DivergedError)"]


def test_failed_run_keeps_what_was_measured():
    made = failed()
    made.figures["throughput/steady"] = Figure(value=3.0, unit="sequences/s")
    assert first_grid(page(made))["Throughput, steady"][:2] == ["3.000", "sequences/s"]


def test_known_settings_are_no_measurement():
    made = failed(task="converge")
    for name, value in {"quality/target": 0.2, "quality/reached": 0.0, "run/emulated": 0.0}.items():
        made.figures[name] = Figure(value=value, unit="1")
    assert not any(isinstance(block, Grid) for block in page(made, every_figure=True).blocks)


def test_published_figures_are_marked_as_others():
    shown = page(report(published=True))
    grid = [block for block in shown.blocks if isinstance(block, Grid)][1]
    assert grid.rows == [
        [
            "throughput/core",
            "600.0",
            "-",
            "sequences/s",
            "8 x A100-SXM4-40GB",
            "fp16",
            "FlagPerf training/nvidia/bert-pytorch",
        ]
    ]
    assert any("by others" in text for text in notes(shown, "heading"))


def test_division_lists_changes():
    changed = [
        {"key": "model.train.batch_size", "reference": 24, "value": 32, "allowed": True},
        {"key": "model.train.optimizer.name", "reference": "lamb", "value": "sgd", "allowed": False},
    ]
    made = page(report(division="open", changed=changed))
    assert "Division: open" in notes(made, "heading")
    assert notes(made, "item") == [
        "model.train.batch_size: 24 → 32 (may be changed)",
        "model.train.optimizer.name: lamb → sgd (may not be changed)",
    ]
    assert "the reference composition, unchanged" in notes(page(report()), "plain")


def test_page_fits_in_100_columns_and_loses_nothing():
    source = "https://example.org/" + "a" * 120
    made = report(task="converge", published=True, warnings=["x" * 250, "word " * 60], reason="why " * 40)
    made.published[0]["source"] = source
    text = to_text(page(made, every_figure=True))
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "".join(text.split()).count("x" * 250) == 1
    assert "a" * 120 in to_markdown(page(made))


def test_terminal_gets_the_same_rows():
    out = io.StringIO()
    Console(file=out, width=100, color_system=None).print(table(report(published=True)))
    assert lines(out.getvalue().rstrip()) == lines(to_text(page(report(published=True))).rstrip())


def test_markdown_has_the_same_rows_and_escapes():
    text = to_markdown(page(report(warnings=["a|b <script> *c*"])))
    assert "| Throughput, steady | 512.3 | sequences/s |  |" in text
    assert "| --- | ---: | --- | --- |" in text
    assert r"a\|b \<script\> \*c\*" in text


def test_control_characters_of_a_driver_do_not_reach_the_terminal():
    text = to_text(page(report(warnings=["bad \x1b[31mred\x07 [bold]not markup[/bold]"])))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]not markup[/bold]" in text


def test_points_are_rows_that_fit_a_terminal():
    one = report()
    parts = {"prefill_tokens_per_second": 18_730.0, "decode_tokens_per_second": 933.0}
    whole = {"samples_per_second": 106.6, "tokens_per_second": 853.0, "requests": 54, "seconds": 1.006, "steady": True}
    times = {"ttft_p50_ms": 1.944, "tpot_p50_ms": None}
    one.points = [{"batch_size": 2, "prompt_tokens": 32, "new_tokens": 8} | whole | times | parts]
    text = to_text(page(one))
    assert "batch prompt new samples/s tokens/s steady TTFT ms TPOT ms prefill tokens/s decode tokens/s" in lines(text)
    assert "2 32 8 106.6 853.0 yes 1.944 - 18,730 933.0" in lines(text)

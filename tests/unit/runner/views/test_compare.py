import io
import re
from pathlib import Path

import pytest
from report_samples import failed, report
from rich.console import Console

from runner.core.errors import ConfigurationError
from runner.record.report import Figure
from runner.views import compare
from runner.views.comparable import RunResult, groups, require_comparable, sort_runs
from runner.views.compare import page
from runner.views.page import Grid, Note, to_markdown, to_rich, to_text
from runner.views.ranking import value_of


def runs(*reports) -> list[RunResult]:
    return [RunResult(report=made, folder=Path(f"outputs/{index}")) for index, made in enumerate(reports)]


def grid(*reports) -> Grid:
    return next(block for block in page(runs(*reports)).blocks if isinstance(block, Grid))


def row(title: str, *reports) -> list[str]:
    return next(found for found in grid(*reports).rows if found[0] == title)[1:]


def said(*reports) -> str:
    return "\n".join(block.text for block in page(runs(*reports)).blocks if isinstance(block, Note))


SLOW = {"throughput/steady": 500.0}
FAST = {"throughput/steady": 750.0}


def test_labels_are_the_fields_that_differ():
    assert grid(report(), report(precision="bf16")).header == ["Figure", "Unit", "1: fp32", "2: bf16", "Difference"]
    other = report(vendor="cpu", chip="Xeon", devices=2)
    assert grid(report(), other).header[2:4] == ["1: nvidia A100-SXM4-40GB 1 device", "2: cpu Xeon 2 devices"]
    assert grid(report(), report()).header[2:4] == ["1", "2"]


def test_labels_fall_back_on_changed_keys():
    changed = [{"key": "model.train.batch_size", "reference": 24, "value": 32, "allowed": True}]
    assert grid(report(), report(changed=changed)).header[2:4] == ["1", "2: model.train.batch_size=32"]


def test_best_and_ratio_follow_the_direction():
    assert row("Throughput, steady", report(values=SLOW), report(values=FAST)) == [
        "sequences/s",
        "500.0",
        "750.0 (1.50x) ★",
        "no interval",
    ]
    lower = row(
        "Energy per sample", report(values={"energy/per_sample_j": 2.0}), report(values={"energy/per_sample_j": 3.0})
    )
    assert lower == ["J/sample", "2.000 ★", "3.000 (1.50x)", "no interval"]


def test_figures_without_a_direction_have_no_best():
    found = row("Power, devices, mean", *(report(values={"power/device_mean_w": value}) for value in (100.0, 300.0)))
    assert found == ["W", "100.0", "300.0 (3.00x)", ""]


def test_celsius_has_no_ratio():
    hot = row(
        "Device temperature, highest", *(report(values={"device/temperature_max_c": value}) for value in (40, 80))
    )
    assert hot == ["°C", "40.00", "80.00", ""]


def test_a_row_has_one_unit():
    found = row(
        "Model FLOPs per second", *(report(values={"compute/achieved_flops_per_second": v}) for v in (2e12, 5e11))
    )
    assert found[:3] == ["TFLOP/s", "2.000 ★", "0.5000 (0.250x)"]


def interval(value: float, low: float, high: float, **changes):
    return report(
        values={"throughput/steady": value}, intervals={"throughput/steady": (low, high)}, repeats=3, **changes
    )


def test_difference_outside_the_intervals_is_significant():
    found = row("Throughput, steady", interval(500, 490, 510), interval(600, 580, 620))
    assert found[2:] == ["600.0 (1.20x) ★", "1.17x to 1.23x: better"]


def test_difference_inside_the_intervals_is_not_and_nobody_is_best():
    found = row("Throughput, steady", interval(500, 480, 520), interval(515, 495, 535))
    assert found[1:] == ["500.0", "515.0 (1.03x)", "0.994x to 1.068x: no difference shown"]


def test_several_runs_tie_for_best_when_their_intervals_overlap():
    found = row("Throughput, steady", interval(500, 490, 510), interval(600, 580, 620), interval(610, 600, 625))
    assert [("★" in cell) for cell in found[1:4]] == [False, True, True]


def test_verdicts_that_differ_name_their_run():
    found = row("Throughput, steady", interval(500, 490, 510), interval(600, 580, 620), interval(505, 500, 520))
    assert found[4] == "2 better, 3 no difference shown"
    one_bare = row("Throughput, steady", interval(500, 490, 510), interval(600, 580, 620), report(values=FAST))
    assert one_bare[4] == "2 better, 3 no interval"


def test_step_time_and_memory_are_not_ranked_between_batch_sizes():
    small = report(values={"step/p50_ms": 10.0})
    large = report(values={"step/p50_ms": 20.0}, batch_size=48)
    assert row("Step time, median", small, large) == ["ms", "10.00", "20.00 (2.00x)", "batch differs"]
    assert row("Throughput, steady", small, large)[3] == "no interval"
    assert "★" in row("Step time, median", small, report(values={"step/p50_ms": 20.0}))[1]


def test_nulls_are_dashes_with_their_reason_below():
    found = row("Energy per sample", report(values={"energy/per_sample_j": 2.0}), report(precision="bf16"))
    assert found == ["J/sample", "2.000", "-", ""]
    assert "2: bf16: no energy/per_sample_j, power/device_mean_w: no energy sensor" in said(
        report(values={"energy/per_sample_j": 2.0}), report(precision="bf16")
    )


def test_reason_that_all_runs_share_is_told_once():
    text = said(report(), report(precision="bf16"), report(precision="tf32"))
    assert text.count("no energy sensor") == 1
    assert "all runs: no energy/per_sample_j, power/device_mean_w: no energy sensor" in text


def test_per_device_figures_are_shown_where_there_are_several_devices():
    titles = [found[0] for found in grid(report(), report(devices=2)).rows]
    assert "Throughput, steady, per device" in titles
    assert "Throughput, steady, per device" not in [found[0] for found in grid(report(), report()).rows]


def test_failed_run_is_shown_but_never_best():
    lost = failed(precision="bf16")
    lost.figures["throughput/steady"] = Figure(value=9000.0, unit="sequences/s")
    found = row("Throughput, steady", report(values=SLOW), lost, report(values=FAST, precision="tf32"))
    assert found[1:4] == ["500.0", "9,000 (18.0x†)", "750.0 (1.50x) ★"]
    assert "2: bf16: failed (exit 7, DivergedError: The loss became NaN at step 12.)" in said(report(), lost)


OPEN = [{"key": "model.architecture.layers", "reference": 24, "value": 12, "allowed": False}]


def test_open_run_is_never_best_among_closed_ones():
    open_run = report(values={"throughput/steady": 2000.0}, division="open", changed=OPEN, precision="bf16")
    assert not any("★" in cell for cell in row("Throughput, steady", report(values=SLOW), open_run))
    assert "open division: model.architecture.layers changed; not ranked with the others" in said(report(), open_run)


def test_open_runs_with_the_same_changes_are_ranked():
    one, other = (report(values=values, division="open", changed=OPEN) for values in (SLOW, FAST))
    assert row("Throughput, steady", one, other)[2] == "750.0 (1.50x) ★"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scale": "tiny"}, "scale"),
        ({"model": "resnet50"}, "model"),
        ({"emulated": True}, "emulated"),
        ({"data": "synthetic"}, "data"),
        ({"quality_targets": {"mlm_accuracy": 0.3}}, "quality target"),
    ],
)
def test_what_must_not_be_compared_is_refused(changes, field):
    pair = runs(report(task="converge"), report(task="converge", **changes))
    with pytest.raises(ConfigurationError, match=f"{field} differs") as refusal:
        require_comparable(pair)
    assert "outputs/1" in str(refusal.value)
    assert "--force" in str(refusal.value)
    assert [len(group) for group in groups(pair)] == [1, 1]


def test_different_tasks_are_refused():
    with pytest.raises(ConfigurationError, match=r"task differs \(train in outputs/0, inspect in outputs/1\)"):
        require_comparable(runs(report(), report(task="inspect")))


def test_emulation_is_also_seen_in_the_figures_alone():
    with pytest.raises(ConfigurationError, match="emulated differs"):
        require_comparable(runs(report(), report(values={"run/emulated": 1.0})))


def test_what_may_be_compared_is_not_refused():
    alike = runs(report(), report(vendor="cpu", precision="bf16", devices=8, compiler="inductor", seed=1))
    require_comparable(alike)
    assert [len(group) for group in groups(alike)] == [2]


def test_targets_do_not_matter_without_convergence():
    require_comparable(runs(report(), report(quality_targets={"mlm_accuracy": 0.5})))


def test_forced_comparison_ranks_nothing_and_says_so():
    pair = (report(values=SLOW), report(values=FAST, scale="tiny"))
    made = grid(*pair)
    assert made.header == ["Figure", "Unit", "1: reference", "2: tiny"]
    assert not any("★" in cell or "x)" in cell for found in made.rows for cell in found)
    assert "NOT RANKED: these runs differ in scale" in said(*pair)
    assert "Some of these runs: TINY" in said(*pair)


def test_emulated_runs_are_not_ranked_among_themselves():
    pair = (report(values=SLOW, emulated=True), report(values=FAST, emulated=True))
    assert not any("★" in cell for found in grid(*pair).rows for cell in found)
    assert "NOT RANKED: emulated runs are never compared." in said(*pair)


def test_unsteady_and_unpublishable_runs_are_named():
    shaky = report(values={"run/steady": 0.0, "run/publishable": 0.0}, precision="bf16")
    assert "2: bf16: the speed was not steady when measuring began; not publishable" in said(report(), shaky)


NOISY = [{"run/publishable": 0.0}, {"host/others_utilisation_mean": 0.4}]


@pytest.mark.parametrize("shaky", NOISY)
@pytest.mark.parametrize("first", [True, False])
def test_runs_that_may_not_be_published_or_were_disturbed_are_not_ranked(shaky, first):
    slow = report(values=SLOW | (shaky if first else {}))
    fast = report(values={"throughput/steady": 8300.0} | ({} if first else shaky), precision="bf16")
    found = row("Throughput, steady", slow, fast)
    assert found[1:] == ["500.0", "8,300 (16.6x†)", "not ranked"], "no star, and the ratio says nothing"
    text = said(slow, fast)
    assert "† says nothing" in text
    assert ("not publishable (" if "run/publishable" in shaky else "others disturbed its host") in text
    style = to_rich(page(runs(slow, fast)))
    out = io.StringIO()
    Console(file=out, width=100, force_terminal=True, color_system="standard").print(style)
    (line,) = [line for line in out.getvalue().splitlines() if "Throughput, steady" in line]
    assert re.search("\x1b\\[2m *8,300 \\(16.6x†\\)", line) and "32m" not in line, f"grey, not green: {line!r}"


def test_a_run_that_is_not_ranked_takes_no_star_from_the_others():
    shaky = report(values={"throughput/steady": 9000.0, "run/publishable": 0.0}, precision="tf32")
    found = row("Throughput, steady", report(values=SLOW), shaky, report(values=FAST, precision="bf16"))
    assert found[1:] == ["500.0", "9,000 (18.0x†)", "750.0 (1.50x) ★", "2 not ranked, 3 no interval"]


def test_a_report_that_does_not_say_whether_it_may_be_published_is_not_ranked():
    silent = report(values=FAST, without=("run/publishable",))
    assert "★" not in "".join(row("Throughput, steady", report(values=SLOW), silent))


def test_labels_say_a_seed_once():
    changed = [{"key": "seed", "reference": 1234, "value": 7, "allowed": True}]
    header = grid(report(), report(seed=7, changed=changed), report(seed=7, changed=changed)).header
    assert header[2:5] == ["1: seed=1234", "2: seed=7", "3: seed=7"]


def test_sorting_puts_the_best_first_and_the_unmeasured_last():
    mixed = runs(report(values=SLOW), report(without=("throughput/steady",)), report(values=FAST))
    assert [str(run.folder) for run in sort_runs(mixed, "throughput/steady")] == ["outputs/2", "outputs/0", "outputs/1"]
    steps = runs(*(report(values={"step/p50_ms": value}) for value in (3.0, 1.0, 2.0)))
    assert [str(run.folder) for run in sort_runs(steps, "step/p50_ms")] == ["outputs/1", "outputs/2", "outputs/0"]


def test_quality_is_sorted_in_the_recipes_direction():
    rates = runs(*(report(task="converge", quality_mode="min", values={"quality/mlm_accuracy": v}) for v in (0.3, 0.1)))
    assert str(sort_runs(rates, "quality/mlm_accuracy")[0].folder) == "outputs/1"


def test_sorting_by_nothing_known_suggests_the_nearest():
    with pytest.raises(ConfigurationError, match=r"Nearest: throughput/steady\."):
        sort_runs(runs(report()), "throughput/stedy")


def test_many_runs_are_cut_into_parts_that_repeat_the_first_run():
    many = [report(chip=f"Accelerator-{index}", values={"throughput/steady": 100.0 + index}) for index in range(9)]
    text = to_text(page(runs(*many)))
    assert max(len(line) for line in text.splitlines()) <= 100
    heads = [line for line in text.splitlines() if line.startswith("Figure")]
    assert len(heads) > 1
    assert all("1: Accelerator-0" in head and "Difference" in head for head in heads)
    assert all(any(f"{index + 1}: Accelerator-{index}" in head for head in heads) for index in range(9))
    assert len(grid(*many).header) == 12


def test_more_runs_than_fit_side_by_side_are_rows():
    many = [report(seed=index, values={"throughput/steady": 100.0 + index}) for index in range(41)]
    made = grid(*many)
    assert made.header[:2] == ["Run", "Throughput, steady (sequences/s)"] and len(made.rows) == 41
    assert made.rows[0][:2] == ["1: seed=0", "100.0"]
    assert made.rows[40][:2] == ["41: seed=40", "140.0 (1.40x) ★"]
    assert "outputs/40" in said(*many)


def test_rows_of_figures_are_looked_up_once_per_figure_and_run(monkeypatch):
    """The work grows with the number of runs: twice the runs, twice the look-ups."""
    counts = []
    for size in (50, 100):
        looked: list[str] = []
        monkeypatch.setattr(
            compare, "value_of", lambda one, name, looked=looked: looked.append(name) or value_of(one, name)
        )
        page(runs(*(report(seed=index) for index in range(size))))
        counts.append(len(looked))
    assert counts[1] <= 2.1 * counts[0]


def test_markdown_keeps_all_runs_in_one_table():
    text = to_markdown(page(runs(report(values=SLOW), report(values=FAST, precision="bf16"))))
    assert "| Throughput, steady | sequences/s | 500.0 | 750.0 (1.50x) ★ | no interval |" in text

from pathlib import Path

import pytest
from report_samples import failed, report

from runner.comparison.gate.kinds import kind_of
from runner.comparison.joined import grouped
from runner.comparison.published import find_published
from runner.comparison.result import RunResult
from runner.core.errors import ConfigurationError


def runs(*reports):
    return [RunResult(report=made, folder=Path(f"outputs/{index}")) for index, made in enumerate(reports)]


def speed(value, **changes):
    return report(values={"throughput/steady": value}, **changes)


def test_a_group_is_the_mean_over_its_runs_with_the_interval_over_them():
    """Means 490, 500, 510: s = 10, t(0.975; 2) = 4.30265, half = 24.841."""
    joined = grouped(runs(speed(490.0), speed(500.0), speed(510.0), speed(700.0, vendor="kunlunxin")), ["vendor"])
    assert len(joined) == 2
    figure = joined[0].report.figures["throughput/steady"]
    assert figure.value == 500.0 and figure.repeats == (490.0, 500.0, 510.0)
    assert figure.interval == pytest.approx((475.159, 524.841), abs=1e-3)
    assert str(joined[0].folder) == "vendor=nvidia (3 runs)"
    assert joined[0].report.warnings[0].startswith("Joined: 3 runs of vendor=nvidia")
    assert joined[1].folder == Path("outputs/3"), "one run is itself"


def test_runs_of_different_kinds_are_not_averaged():
    with pytest.raises(ConfigurationError, match=r"differ in batch_size \(24, 48\).*Add batch_size to by="):
        grouped(runs(speed(490.0), speed(500.0, batch_size=48)), ["vendor"])


def test_as_many_devices_on_other_numbers_of_nodes_are_another_kind():
    two, four = (report(topology="cluster", devices=4, nodes=nodes, layout="data") for nodes in (2, 4))
    assert kind_of(two) != kind_of(four)
    with pytest.raises(ConfigurationError, match=r"differ in nodes \(2, 4\)"):
        grouped(runs(two, four), ["vendor"])


def test_a_failed_run_is_left_out_and_that_is_said():
    joined = grouped(runs(speed(490.0), failed(), speed(510.0)), ["vendor"])[0].report
    assert joined.figures["throughput/steady"].value == 500.0 and joined.status == "done"
    assert "Joined: 1 of 3 runs of vendor=nvidia did not end well and are left out." in joined.warnings


def test_a_figure_that_a_run_lacks_is_null_with_the_reason():
    (joined,) = grouped(runs(speed(490.0), report(without=("throughput/steady",), reason="no window")), ["vendor"])
    figure = joined.report.figures["throughput/steady"]
    assert (figure.value, figure.reason) == (None, "1 of 2 runs lack it: no window")


def test_published_figures_stay_as_they_are():
    theirs = find_published("published:bert/A100-SXM4-40GB")
    joined = grouped([*runs(speed(490.0), speed(510.0)), theirs], ["vendor"])
    assert [str(one.folder) for one in joined] == ["vendor=nvidia (2 runs)", str(theirs.folder)]


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(ConfigurationError, match=r"by=vendr: no case has this key. Nearest: vendor\."):
        grouped(runs(speed(490.0)), ["vendr"])


def test_runs_that_did_other_work_are_not_averaged():
    change = {"key": "model.arch.layers", "reference": 24, "value": 12, "allowed": False}
    with pytest.raises(ConfigurationError, match=r"differ in model\.arch\.layers \(unchanged, 12\)"):
        grouped(runs(speed(100.0), speed(200.0, changed=[change], division="open")), ["vendor"])


def test_one_that_missed_its_target_is_no_lucky_one():
    reached = [report(task="converge"), report(task="converge")]
    missed = report(
        task="converge", values={"quality/reached": 0.0}, without=("time/to_target_s",), reason="not reached"
    )
    missed.status, missed.exit_code = "failed", 8
    missed.error = {"class": "TargetNotReachedError", "message": "missed"}
    (joined,) = grouped(runs(*reached, missed), ["vendor"])
    assert joined.report.figures["quality/reached"].value == 0.0
    assert joined.report.figures["time/to_target_s"].value is None
    assert (joined.report.status, joined.report.exit_code) == ("failed", 8)

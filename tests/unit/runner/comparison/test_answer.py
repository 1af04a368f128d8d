from pathlib import Path

import pytest
from report_samples import failed, report

from runner.comparison.answer import answer
from runner.comparison.compared import compare
from runner.comparison.cost import parse_prices, speed_of, with_cost
from runner.comparison.published import find_published
from runner.comparison.result import RunResult
from runner.core.errors import ConfigurationError
from runner.record.report import Figure, Report


def run(made: Report, name: str = "outputs/1") -> RunResult:
    return RunResult(report=made, folder=Path(name))


def repeated(made: Report, **figures: tuple[float, ...]) -> Report:
    for name, values in figures.items():
        key = name.replace("__", "/")
        made.figures[key] = Figure(value=sum(values) / len(values), unit=made.figures[key].unit, repeats=values)
    return made


def said(*reports: Report) -> list[str]:
    runs = [run(made, f"outputs/{index}") for index, made in enumerate(reports)]
    return [line.text for line in answer(compare(runs))]


SLOW, FAST = (490.0, 500.0, 510.0), (590.0, 600.0, 610.0)


def test_the_first_line_says_which_is_faster_by_how_much_and_how_sure():
    lines = said(
        repeated(report(), throughput__steady=SLOW), repeated(report(precision="bf16"), throughput__steady=FAST)
    )
    assert lines[0] == (
        "2: bf16 is 1.20x faster than 1: fp32: Throughput, steady 600.0 against 500.0 sequences/s (95 % interval 1.15x "
        "to 1.25x; 3 and 3 repeats)."
    )


def test_the_faster_is_named_first_whichever_it_is():
    lines = said(
        repeated(report(), throughput__steady=FAST), repeated(report(precision="bf16"), throughput__steady=SLOW)
    )
    assert lines[0].startswith("1: fp32 is 1.20x faster than 2: bf16: Throughput, steady 600.0 against 500.0")


def test_no_difference_and_a_single_measurement_are_said():
    same = said(repeated(report(), throughput__steady=SLOW), repeated(report(), throughput__steady=(495, 505, 508)))
    assert same[0].startswith("No difference in speed shown between run 2 and run 1")
    once = said(report(values={"throughput/steady": 500.0}), report(values={"throughput/steady": 600.0}))
    assert once[0] == (
        "run 2 was 1.20x as fast as run 1: Throughput, steady 600.0 against 500.0 sequences/s (measured once: chance "
        "is not ruled out)."
    )


def test_a_latency_that_is_lower_is_faster():
    values = {"infer/latency_p50_ms": 10.0}
    one = served(values | {"accuracy/gate_passed": 1.0})
    two = served({"infer/latency_p50_ms": 8.0, "accuracy/gate_passed": 1.0}, precision="int8")
    assert said(one, two)[0].startswith("2: int8 was 1.25x as fast as 1: fp32: Latency, median 8.000 against 10.00 ms")


def served(values: dict[str, float], **changes: object) -> Report:
    made = report(values={}, **changes)
    made.case |= {"task": "infer", "load": "single_stream", "quality_mode": "max"}
    units = {"infer/latency_p50_ms": "ms", "accuracy/gate_passed": "bool"}
    made.figures = {name: Figure(value=value, unit=units[name]) for name, value in values.items()}
    return made


def test_a_faster_run_that_misses_its_gate_is_never_called_better():
    one = served({"infer/latency_p50_ms": 10.0, "accuracy/gate_passed": 1.0})
    two = served({"infer/latency_p50_ms": 5.0, "accuracy/gate_passed": 0.0}, precision="int8")
    lines = said(one, two)
    assert lines[:3] == [
        "No answer: fewer than two of these runs count.",
        "2: int8 does not count: it misses its accuracy gate.",
        "2: int8 ran at 2.00x the speed of 1: fp32, which makes neither better.",
    ]
    assert not any("faster" in line for line in lines)


def test_a_failed_run_does_not_count():
    lines = said(report(), failed(precision="bf16"))
    assert "2: bf16 does not count: it did not end well (exit 7): The loss became NaN at step 12." in lines


def test_energy_reads_as_less_and_memory_as_more():
    one = repeated(report(values={"energy/per_sample_j": 2.0}), energy__per_sample_j=(1.99, 2.0, 2.01))
    two = repeated(
        report(values={"energy/per_sample_j": 1.66, "memory/device_peak_allocated_gib": 12.672}, precision="bf16"),
        energy__per_sample_j=(1.65, 1.66, 1.67),
    )
    lines = said(one, two)
    assert lines[1].startswith("Energy per sample: 2: bf16 has 17 % less than 1: fp32 (95 % interval -18")
    assert lines[2] == (
        "Device memory, allocated peak: 2: bf16 has 10 % more than 1: fp32 (a highest value has no interval)."
    )


def test_a_missing_figure_is_no_zero():
    assert "Energy per sample: not compared: no energy sensor: RAPL is not readable here (/sys/class/powercap needs " \
        "root)." in said(report(), report(precision="bf16"))  # fmt: skip


def test_devices_are_told_apart():
    one = report(values={"throughput/steady": 500.0})
    eight = report(values={"throughput/steady": 3600.0}, devices=8)
    assert said(one, eight)[0].endswith("That is 8 devices against 1; per device it is 0.900x as fast.")


def test_a_published_figure_stands_beside_a_measured_one():
    ours = report(model="resnet50", unit="images", data="dataset", devices=8, precision="tf32", chip="A100 SXM 80GB")
    ours.figures = {"throughput/core": Figure(value=9318.0, unit="images/s", repeats=(9318.0, 9318.0))}
    theirs = find_published("published:resnet50/A100-SXM4-40GB/tf32/x8")
    comparison = compare([theirs, run(ours)])
    assert not comparison.differing
    (line, *_) = answer(comparison)
    assert "2.00x as fast" in line.text and "9,318 against 4,659 images/s" in line.text


def test_throughput_of_other_batches_is_compared_and_step_time_is_not():
    one, two = report(values={"step/p50_ms": 10.0}), report(values={"step/p50_ms": 20.0}, batch_size=48)
    found = compare([run(one), run(two)]).figures
    assert found["step/p50_ms"].differences[1].outcome == "not compared"
    assert found["throughput/steady"].differences[1].outcome == "no interval"


def test_another_unit_is_refused():
    other = report()
    other.figures["throughput/steady"] = Figure(value=600.0, unit="tokens/s")
    found = compare([run(report()), run(other)]).figures["throughput/steady"].differences[1]
    assert (found.outcome, found.ratio) == ("not compared", None)
    assert found.reason == "in tokens/s, and the first is in sequences/s"


def test_emulated_runs_get_no_answer():
    assert said(report(emulated=True), report(emulated=True)) == ["No answer: emulated runs are never compared."]


def test_cost_per_million_samples():
    """2 an hour at 500 a second: 2 / 3600 / 500 * 1e6 = 1.1111."""
    runs = [run(report(values={"throughput/steady": value}, vendor=vendor)) for value, vendor in
            ((500.0, "nvidia"), (1000.0, "kunlunxin"))]  # fmt: skip
    prices = parse_prices("nvidia=2,2=6", runs)
    assert prices == [2.0, 6.0] and speed_of(runs) == "throughput/steady"
    priced = [with_cost(one, price, "USD", "throughput/steady") for one, price in zip(runs, prices, strict=True)]
    figures = [one.report.figures["cost/per_million_samples"] for one in priced]
    assert [figure.value for figure in figures] == pytest.approx([1.1111111, 1.6666667])
    assert figures[0].unit == "USD/million sequences"
    told = (
        "Cost per million samples: 2: kunlunxin has 50 % more than 1: nvidia (measured once: chance is not ruled out)."
    )
    assert told in [line.text for line in answer(compare(priced))]
    bare = with_cost(runs[0], None, "USD", "throughput/steady").report.figures["cost/per_million_samples"]
    assert bare.value is None and "--cost-per-hour" in (bare.reason or "")


@pytest.mark.parametrize("text", ["nvidia", "nvidia=", "nvidia=0", "nvidia=-1", "nvidia=nan", "nvidia=inf", "nvida=2"])
def test_a_price_that_is_none_is_refused(text):
    with pytest.raises(ConfigurationError, match="--cost-per-hour"):
        parse_prices(text, [run(report())])

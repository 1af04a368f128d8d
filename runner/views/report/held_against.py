"""What a number is held against: a limit of the chip, a target, a gate, what was offered, a published figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.messages import tr
from runner.record.names import LAST, is_accuracy, is_quality, number, written
from runner.record.report import Figure, Report
from runner.views.published import nearest
from runner.views.tables import emulated, value_and_unit

Held = Callable[[Report, Figure], str]


def held_against(name: str, report: Report) -> str:
    """What a number is compared with: a limit, a target or the nearest published figure."""
    figure = report.figures[name]
    if is_quality(name):
        return _target(name, report)
    if is_accuracy(name) or name == "accuracy/kept":
        return _gate(report)
    for names, held in _HELD:
        if name in names:
            return held(report, figure)
    return _published(name, report)


def _value(name: str, report: Report) -> float | None:
    figure = report.figures.get(name)
    return figure.value if figure else None


def _text(name: str, report: Report) -> str:
    return " ".join(part for part in value_and_unit(name, report.figures[name], report) if part)


def _target(name: str, report: Report) -> str:
    metric = name.removeprefix("quality/").removesuffix(LAST)
    targets: Any = report.case.get("quality_targets")
    goal = targets.get(metric) if isinstance(targets, dict) else None
    if goal is None:
        return ""
    reached = _value("quality/reached", report)
    sign = "≤" if report.case.get("quality_mode") == "min" else "≥"
    verdict = "" if reached is None else tr("reached") if reached else tr("not reached")
    return tr("target {sign} {goal}: {verdict}", sign=sign, goal=f"{goal:g}", verdict=verdict or tr("unknown"))


def _gate(report: Report) -> str:
    passed, reference = _value("accuracy/gate_passed", report), _value("accuracy/reference", report)
    parts = [tr("fp32 reference {value}", value=number(reference))] if reference is not None else []
    parts += [tr("gate passed") if passed else tr("gate missed")] if passed is not None else []
    return ", ".join(parts)


def _roofline(report: Report, figure: Figure) -> str:
    fraction = _value("roofline/fraction", report)
    name = "roofline/throughput_samples_per_second"
    if fraction is None or _value(name, report) is None:
        return _published("throughput/steady", report)
    share = written(fraction, "1", "percent")[0]
    return tr("{share} % of the chip's roofline, {limit}", share=share, limit=_text(name, report))


def _peak(report: Report, figure: Figure) -> str:
    if _value("compute/peak_flops_per_second", report) is None:
        return ""
    return tr("of the chip's dense peak, {peak}", peak=_text("compute/peak_flops_per_second", report))


def _power(report: Report, figure: Figure) -> str:
    return (
        tr("at {power} on average", power=_text("power/device_mean_w", report))
        if _value("power/device_mean_w", report)
        else ""
    )


def _tail(report: Report, figure: Figure) -> str:
    if _value("infer/latency_p99_ms", report) is None:
        return ""
    return tr("99th percentile {value}", value=_text("infer/latency_p99_ms", report))


def _offered(report: Report, figure: Figure) -> str:
    if _value("infer/offered_per_second", report) is None:
        return ""
    return tr("offered: {value}", value=_text("infer/offered_per_second", report))


def _samples(report: Report, figure: Figure) -> str:
    if _value("convergence/samples_to_target", report) is None:
        return ""
    return tr("after {count}", count=_text("convergence/samples_to_target", report))


def _published(name: str, report: Report) -> str:
    """The nearest published figure of this name, per device as here; only for runs of the published case."""
    if emulated(report) or report.case.get("scale") != "reference":
        return ""
    found = next((item for item in nearest(report) if item.get("figure") == name), None)
    if found is None or not isinstance(found.get("value"), int | float):
        return ""
    told = {"value": number(float(found["value"])), "devices": found.get("devices", "?"), "chip": found.get("chip")}
    per = tr("per device of") if found.get("per") == "device" else tr("on")
    return tr(
        "published: {value} {per} {devices} x {chip}, {precision}", **told, per=per, precision=found.get("precision")
    )


_HELD: tuple[tuple[tuple[str, ...], Held], ...] = (
    (("throughput/steady", "infer/samples_per_second"), _roofline),
    (("compute/mfu",), _peak),
    (("energy/per_sample_j",), _power),
    (("infer/latency_p50_ms",), _tail),
    (("infer/goodput_per_second", "infer/achieved_per_second"), _offered),
    (("time/to_target_s",), _samples),
)

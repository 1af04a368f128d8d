"""What is drawn of a served model beside its requests: errors of its outputs, coverage, speed by batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from runner.config.schema import Case
from runner.core.events import Event, Name
from runner.messages import tr
from runner.record.names import number
from runner.record.report import Report
from runner.record.serving_names import ERROR_POWERS
from runner.views.charts.parts.bars import bars
from runner.views.charts.parts.chart import GREEN, PALETTE, VERMILION, Chart, Row, data, finished
from runner.views.charts.parts.layers import Key, shortened, tooltip, wrapped, x_axis, y_axis

MOST_OUTPUTS = 6
"""Outputs of a network of which a histogram is drawn: those nearest to, or furthest below, the threshold."""
MOST_FALLBACKS = 20
NO_ERROR = min(ERROR_POWERS) - 1
"""Stands left of the powers of ten for elements without any error."""


def numerics(told: Mapping[str, Any]) -> Chart | None:
    """Elements of each output by the power of ten of their error against the fp32 reference.

    Args:
        told: of the event NUMERICS.
    """
    import altair

    outputs = {name: one for name, one in told.get("outputs", {}).items() if one.get("histogram")}
    worst = sorted(outputs, key=lambda name: _ratio(outputs[name]))[:MOST_OUTPUTS]
    if not worst:
        return None
    rows: list[Row] = []
    colors: dict[str, str] = {}
    for name, color in zip(worst, PALETTE, strict=False):
        one = outputs[name]
        total = sum(one["histogram"].values())
        ratio = tr("no error") if one["snr_db"] is None else f"{one['snr_db']:.1f} dB"
        label = f"{shortened(name, 28)}: {ratio}"
        colors[label] = color
        for power in (NO_ERROR, *ERROR_POWERS):
            count = one["histogram"].get("0" if power == NO_ERROR else f"1e{power}", 0)
            rows.append({"x": power, "share": 100 * count / total, "count": count, "series": label})
    names = f"datum.value == {NO_ERROR} ? '{tr('none')}' : '1e' + datum.value"
    key, y_title = Key(colors), tr("elements of the output (%)")
    x = altair.X(
        "x:O",
        title=wrapped(tr("size of the error: |error| ÷ root mean square of the fp32 reference (no unit)")),
        axis=altair.Axis(labelExpr=names, labelAngle=0, grid=False, labelOverlap=True),
    )
    y = y_axis("share", y_title, zero=True, scale=altair.Scale(domain=[0, 100]))
    said = [
        altair.Tooltip("series:N", title=" "),
        altair.Tooltip("share:Q", title=y_title, format=".3~g"),
        altair.Tooltip("count:Q", title=tr("elements"), format=",d"),
    ]
    bar = altair.Chart(data(rows)).mark_bar().encode(x=x, y=y, color=key.color(), tooltip=said)
    if len(worst) > 1:
        bar = bar.encode(xOffset=altair.XOffset("series:N", sort=list(colors)))
    least = told.get("least_snr_db")
    allowed = tr("Signal to noise of no less than {value} dB is allowed.", value=f"{least:g}") if least else ""
    return finished("numerics", tr("Errors of the outputs"), [bar], note=allowed)


def _ratio(output: Mapping[str, Any]) -> float:
    return float("inf") if output["snr_db"] is None else float(output["snr_db"])


def coverage(events: Sequence[Event]) -> Chart | None:
    """How many nodes of the graph the engine took, and how many something else ran; each reason in a note.

    Args:
        events: the first rank's.
    """
    told: Mapping[str, Any] = next((event.value for event in events if event.name == Name.COMPILE), {})
    found = told.get("coverage")
    if not found or not found["total"]:
        return None
    taken, total = int(found["taken"]), int(found["total"])
    rows: list[Row] = [
        _part(tr("taken by the engine"), taken, total, tr("taken")),
        _part(tr("run by something else"), total - taken, total, tr("fell back")),
    ]
    reasons = [f"{name}: {reason}" for name, reason in (found.get("fallbacks") or {}).items()]
    note = "; ".join(reasons[:MOST_FALLBACKS])
    if len(reasons) > MOST_FALLBACKS:
        note += tr("; and {count} more", count=len(reasons) - MOST_FALLBACKS)
    key = Key({tr("taken"): GREEN, tr("fell back"): VERMILION})
    title = tr("Share of the graph that the engine took")
    return bars("coverage", title, rows, key, tr("nodes of the graph (count)"), note=note)


def _part(name: str, count: int, total: int, series: str) -> Row:
    label = f"{name}: {count:,} ({number(100 * count / total, 3)} %)"
    return {"label": label, "value": count, "series": series}


def batch_sizes(points: Sequence[Row], report: Report, case: Case | None, *, window: bool) -> list[Chart | None]:
    """Speed by batch size, a line for each kind of point and a chart for each kind of speed.

    Args:
        points: rows that the run measured beside its window.
        report: the run's.
        case: of which the lengths of a served point are; None where it cannot be read.
        window: whether the report's figures are those of this window, and not a mean of several.
    """
    rows = [*points, *(_served(report, case, points) if window else [])]
    unit = report.case.get("unit") or (case.model.unit if case else "samples")
    speeds = {
        "samples_per_second": (tr("Speed by batch size"), tr("throughput ({unit})", unit=f"{unit}/s")),
        "tokens_per_second": (tr("Speed by batch size, whole answers"), tr("whole answers (tokens/s)")),
        "prefill_tokens_per_second": (tr("Speed by batch size, prefill alone"), tr("prefill alone (tokens/s)")),
        "decode_tokens_per_second": (tr("Speed by batch size, decoding alone"), tr("decoding alone (tokens/s)")),
    }
    names = [name for name in speeds if len({row["batch_size"] for row in rows if row.get(name) is not None}) > 1]
    if "tokens_per_second" in names and "samples_per_second" in names:
        names.remove("samples_per_second")  # of the same requests
    found: list[Chart | None] = []
    for place, name in enumerate(names):
        stem = "batch_sizes" if place == 0 else f"batch_sizes_{name.removesuffix('_per_second')}"
        found.append(_by_size(stem, *speeds[name], [row for row in rows if row.get(name) is not None], name))
    return found


def _by_size(name: str, title: str, y_title: str, points: Sequence[Row], field: str) -> Chart:
    import altair

    rows = sorted(({"x": row["batch_size"], "speed": row[field], "series": _label(row)} for row in points), key=_place)
    key = Key(dict(zip(dict.fromkeys(row["series"] for row in rows), cycle(PALETTE), strict=False)))
    sizes = sorted({row["x"] for row in rows})
    x = x_axis(tr("batch size (rows)"), scale=altair.Scale(type="log", base=2, nice=False), values=sizes, format=",d")
    base = altair.Chart(data(rows)).mark_line(strokeWidth=1.8, point={"size": 48})
    said = tooltip(tr("batch size"), "speed", y_title)
    return finished(
        name, title, [base.encode(x=x, y=y_axis("speed", y_title, zero=True), color=key.color(), tooltip=said)]
    )


def _place(row: Row) -> tuple[str, float]:
    return row["series"], row["x"]


def _label(row: Row) -> str:
    if "prompt_tokens" in row:
        return tr("{prompt} + {new} tokens", prompt=row["prompt_tokens"], new=row["new_tokens"])
    return tr("with copies") if row.get("copies") else tr("copies excluded")


def _served(report: Report, case: Case | None, points: Sequence[Row]) -> list[Row]:
    """The window itself as a point; of a load that measures other sizes, too."""
    found = report.figures.get("infer/samples_per_second")
    if found is None or found.value is None or case is None or case.load.name != "offline" or not points:
        return []
    own: Row = {"batch_size": case.model.inference.batch_size, "copies": True, "samples_per_second": found.value}
    if (generation := case.model.inference.generation) is not None:
        tokens = report.figures.get("generation/tokens_per_second")
        own |= {"prompt_tokens": generation.prompt_tokens, "new_tokens": generation.new_tokens}
        own["tokens_per_second"] = tokens.value if tokens else None
    return [own]

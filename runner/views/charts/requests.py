"""What is drawn of a served model's requests: latency by arrival and its distribution, first token, token gaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.config.schema import Case
from runner.messages import tr
from runner.record.names import number
from runner.record.report import Report
from runner.serving.load.requests import Request, read_requests, token_gaps_s
from runner.views.charts.parts.bins import Observation, binned, shares
from runner.views.charts.parts.chart import BLUE, GREEN, VERMILION, Chart, Row, data, finished
from runner.views.charts.parts.layers import Key, levels, line, moments, tooltip, x_axis, y_axis
from runner.views.charts.training import distribution, quantile_marks

FAR = 3.0
"""Times the longest latency, up to which a limit is drawn."""
FEW = 100
"""Dots up to which they are large."""
MOST_DOTS = 1000
"""Requests that are drawn one by one; more of them by means and extremes."""


def charts(folder: Path, report: Report, case: Case | None) -> list[Chart | None]:
    """Latency over arrival, the shares answered by then, of the first tokens too, and the gaps between tokens.

    Args:
        folder: the run's.
        report: the run's.
        case: of which the limits of latency are; None where it cannot be read.
    """
    requests = read_requests(folder)
    gaps = [1e3 * gap for gap in token_gaps_s(folder)]
    mean = report.figures.get("infer/latency_mean_ms")
    if not requests or (mean is not None and mean.value is None):
        # What the report has no latency of, as of requests that all arrive at once, has no picture of it either.
        return [_gaps(gaps, report)]
    given = case.load.slo.given if case is not None else {}
    longest_ms = max(1e3 * one.latency_s for one in requests)
    # A limit far away would press all that was measured into a corner.
    limits = {name: limit for name, limit in given.items() if limit <= FAR * longest_ms}
    whole = [(one.arrived_s, 1e3 * one.latency_s) for one in requests]
    first = [(one.arrived_s, 1e3 * one.ttft_s) for one in requests if one.ttft_s is not None]
    answers = Chart(name="latency_shares", title=tr("Share of requests answered by then"), spec={})
    tokens = Chart(name="ttft_shares", title=tr("Share of first tokens by then"), spec={})
    return [
        _over_arrival(whole, first, requests, limits),
        _shares(answers, whole, report, "infer/latency_{}_ms", _limits(limits, ("latency_ms",), "x")),
        _shares(tokens, first, report, "generation/ttft_{}_ms", _limits(limits, ("ttft_ms",), "x")),
        _gaps(gaps, report),
    ]


def _over_arrival(
    whole: Sequence[tuple[float, float]],
    first: Sequence[tuple[float, float]],
    requests: Sequence[Request],
    limits: dict[str, float],
) -> Chart:
    import altair

    origin_s = min(one.arrived_s for one in requests)
    named = [(tr("whole answer"), BLUE, whole), (tr("first token"), GREEN, first)]
    level = _limits(limits, ("latency_ms", "ttft_ms"), "mean")
    rows: list[Row] = []
    colors: dict[str, str] = {}
    size = 1
    for name, color, pairs in named:
        points = [Observation(arrived_s - origin_s, ms) for arrived_s, ms in sorted(pairs)]
        found, size = binned([points], most=MOST_DOTS if len(points) <= MOST_DOTS else 240)
        label = name if size == 1 else tr("{name}, mean of {count} requests and range", name=name, count=size)
        rows += [row | {"series": label} for row in found]
        colors |= {label: color} if found else {}
    key = Key(colors | {str(row["series"]): VERMILION for row in level})
    x, y_title = x_axis(tr("time of arrival (s)")), tr("latency (ms)")
    y = y_axis("mean", y_title, zero=True)
    if any(row["low"] != row["high"] for row in rows):
        drawn = line(rows, key, x, y_title, zero=True)
    else:
        dots = altair.Chart(data(rows)).mark_circle(size=26 if len(rows) > FEW else 64, opacity=0.7)
        drawn = [dots.encode(x=x, y=y, color=key.color(), tooltip=tooltip(tr("arrival (s)"), "mean", y_title))]
    return finished("latency", tr("Latency of the requests"), [*drawn, *levels(level, key, y)])


def _shares(
    about: Chart, pairs: Sequence[tuple[float, float]], report: Report, figures: str, limit: list[Row]
) -> Chart | None:
    """Which share of the requests took no longer than that."""
    import altair

    if not pairs:
        return None
    marks = quantile_marks(report, figures)
    series = tr("{count} requests", count=f"{len(pairs):,}")
    colors = {series: BLUE} | {row["series"]: row["color"] for row in marks}
    key = Key(colors | {str(row["series"]): VERMILION for row in limit})
    x = x_axis(tr("time to the first token (ms)") if about.name.startswith("ttft") else tr("latency (ms)"))
    y_title = tr("requests (%)")
    y = y_axis("share", y_title, zero=True, scale=altair.Scale(domain=[0, 100]))
    rows = [row | {"series": series} for row in shares([ms for _, ms in pairs])]
    step = altair.Chart(data(rows)).mark_line(interpolate="step-after", strokeWidth=1.8, point=len(rows) == 1)
    # The area is the first layer: the legend takes its squares from it, and a line has none.
    area = (
        altair.Chart(data(rows)).mark_area(interpolate="step-after", opacity=0.12).encode(x=x, y=y, color=key.color())
    )
    drawn: list[Any] = [
        area,
        step.encode(x=x, y=y, color=key.color(), tooltip=tooltip(tr("within (ms)"), "share", y_title)),
    ]
    return finished(about.name, about.title, [*drawn, *moments(marks, key, x), *moments(limit, key, x)])


def _gaps(gaps_ms: Sequence[float], report: Report) -> Chart | None:
    if not gaps_ms:
        return None
    return distribution(
        gaps_ms,
        report,
        "generation/itl_{}_ms",
        Chart(name="token_gaps", title=tr("Time between tokens"), spec={}),
        x_title=tr("time from one token to the next (ms)"),
        y_title=tr("gaps (count)"),
        series=tr("gaps"),
    )


def _limits(limits: dict[str, float], names: Sequence[str], field: str) -> list[Row]:
    said = {"latency_ms": tr("limit of latency"), "ttft_ms": tr("limit of the first token")}
    return [
        {field: limits[name], "series": f"{said[name]}: {number(limits[name])} ms"} for name in names if name in limits
    ]

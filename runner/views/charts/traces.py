"""What is drawn of the power trace: power, clocks, utilisation, temperature and memory, with window and throttling."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from hardware.energy.plausible import throttles
from hardware.sampling.series import Series
from hardware.sampling.trace import Trace
from runner.messages import tr
from runner.record.names import number
from runner.record.report import Report
from runner.record.series import Timeline, power_of, told_by
from runner.views.charts.parts.bins import MOST_BINS, Observation, binned
from runner.views.charts.parts.chart import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, Chart, Row, finished
from runner.views.charts.parts.layers import Key, bands, levels, line, moments, shortened, x_axis, y_axis

LINES = (BLUE, PURPLE, "#8c6239", "#5b616b")
"""Colours of the sources; green, grey, vermilion, sky and orange are the window's, idle's, throttling's, the target's
and the levels'."""
GIB = 2**30


@dataclass(kw_only=True, slots=True)
class Around:
    """What stands behind every chart of a trace."""

    origin_s: float
    """Monotonic time of the first reading."""
    spans: list[Row]
    """Window and idle; no mean is taken across their edges."""
    throttled: list[Row]
    marks: list[Row]


def charts(folder: Path, report: Report) -> list[Chart | None]:
    """A chart of each column that was told."""
    try:
        trace = Trace.load(folder / "power.csv")
    except ValueError:  # a trace of another version; the report says so where the power should stand
        return []
    times = [one.numbers["monotonic_s"][0] for one in trace.series if one.numbers["monotonic_s"]]
    if not times:
        return []
    around = _around(trace, min(times))
    power = _told(trace, power_of)

    def of(column: str, factor: float = 1.0) -> list[Timeline]:
        return _told(trace, lambda one: told_by(one, column, factor))

    named = {
        "power": (tr("Power over time"), tr("power (W)"), power),
        "clocks": (tr("Clocks over time"), tr("clock (MHz)"), of("clock_mhz")),
        "utilisation": (tr("Utilisation over time"), tr("utilisation (%)"), of("utilisation", 100.0)),
        "temperature": (tr("Temperature over time"), tr("temperature (°C)"), of("temperature_c")),
        "memory": (tr("Memory over time"), tr("memory in use (GiB)"), of("memory_used_bytes", 1 / GIB)),
    }
    return [
        _chart(Chart(name=name, title=title, spec={}), y_title, told, around, _mean_power(told, report, name))
        for name, (title, y_title, told) in named.items()
    ]


def _mean_power(told: Sequence[Timeline], report: Report, name: str) -> list[Row]:
    """The report's mean; of one device alone, for that of several together is on no line of one of them."""
    mean = report.figures.get("power/device_mean_w")
    devices = [one for one in told if one.label.startswith("device")]
    if name != "power" or mean is None or mean.value is None or mean.repeats is not None or len(devices) != 1:
        return []
    return [{"mean": mean.value, "series": tr("mean in the window: {value}", value=f"{number(mean.value)} W")}]


def _told(trace: Trace, read: Callable[[Series], Timeline]) -> list[Timeline]:
    return [line for one in trace.series if (line := read(one)).times_s]


def _chart(
    about: Chart, y_title: str, told: Sequence[Timeline], around: Around, level: Sequence[Row] = ()
) -> Chart | None:
    if not told:
        return None
    rows: list[Row] = []
    colors: dict[str, str] = {}
    most = 1
    sources = _pooled(told)
    for (series, points, least), color in zip(sources, LINES, strict=False):
        moved = [Observation(point.x - around.origin_s, point.y) for point in points]
        found, size = binned(_cut(moved, around.spans), most=MOST_BINS, least=least)
        most = max(most, size)
        colors[series] = color
        rows += [row | {"series": series} for row in found]
    colors |= {str(row["series"]): ORANGE for row in level}
    colors |= {row["series"]: row["color"] for row in (*around.spans, *around.throttled, *around.marks)}
    key, x = Key(colors), x_axis(tr("time (s)"))
    layers = [*bands(around.spans, key, x), *bands(around.throttled, key, x, opacity=0.35)]
    layers += [*line(rows, key, x, y_title, zero=True), *levels(list(level), key, y_axis("mean", y_title, zero=True))]
    note = tr("Lines are means of up to {count} readings, bands reach from the lowest to the highest.", count=most)
    return finished(about.name, about.title, [*layers, *moments(around.marks, key, x)], note=note if most > 1 else "")


def _pooled(told: Sequence[Timeline]) -> list[tuple[str, list[Observation], int]]:
    """Name, points and fewest readings of a bin: each source by itself, or where they are many, those of a scope."""
    scopes: dict[str, list[Timeline]] = {}
    for one in told:
        scopes.setdefault(one.label.partition(":")[0].partition(" (")[0], []).append(one)
    alone = len(told) <= len(LINES)
    sources = []
    for scope, members in scopes.items():
        if alone or len(members) == 1:
            sources += [(shortened(one.label), [*map(Observation, one.times_s, one.values)], 1) for one in members]
            continue
        points = sorted(Observation(*pair) for one in members for pair in zip(one.times_s, one.values, strict=True))
        name = tr("{count} sources of {scope}", count=len(members), scope=scope)
        sources.append((name, points, len(members)))
    return sources


def _cut(points: Sequence[Observation], spans: Sequence[Row]) -> list[list[Observation]]:
    """The points between two edges each; one on an edge of a span is inside of it, as in the figures."""
    begins_s, ends_s = sorted(row["x"] for row in spans), sorted(row["end"] for row in spans)

    def between(point: Observation) -> tuple[int, int]:
        return bisect_right(begins_s, point.x), bisect_left(ends_s, point.x)

    return [list(members) for _, members in groupby(points, key=between)]


def _around(trace: Trace, origin_s: float) -> Around:
    marks = {name: time_s - origin_s for name, time_s in trace.marks.items()}
    spans = _spans(marks, "idle", tr("idle"), GREY) + _spans(marks, "segment", tr("measured window"), GREEN)
    target = [{"x": marks["target"], "series": tr("target reached"), "color": SKY}] if "target" in marks else []
    throttled = [
        {"x": begin - origin_s, "end": end - origin_s, "series": tr("throttled"), "color": VERMILION}
        for one in trace.series
        for begin, end in _throttled(one)
    ]
    return Around(origin_s=origin_s, spans=spans, throttled=throttled, marks=target)


def _spans(marks: dict[str, float], kind: str, label: str, color: str) -> list[Row]:
    """From each `<kind>_begin[:n]` to its `<kind>_end[:n]`."""
    begun = {name.partition(":")[2]: time for name, time in marks.items() if name.partition(":")[0] == f"{kind}_begin"}
    ends = {name.partition(":")[2]: time for name, time in marks.items() if name.partition(":")[0] == f"{kind}_end"}
    pairs = [(begin, ends[number_]) for number_, begin in begun.items() if ends.get(number_, begin) > begin]
    return [{"x": begin, "end": end, "series": label, "color": color} for begin, end in sorted(pairs)]


def _throttled(one: Series) -> list[tuple[float, float]]:
    """From each reading that told of throttling to the next one that told of none."""
    reasons = {time_s: text for time_s, text in one.throttle if any(map(throttles, text.split("+")))}
    spans: list[tuple[float, float]] = []
    begin: float | None = None
    for time_s in one.throttle_told_s:
        if time_s in reasons and begin is None:
            begin = time_s
        elif time_s not in reasons and begin is not None:
            spans.append((begin, time_s))
            begin = None
    if begin is not None:
        spans.append((begin, one.numbers["monotonic_s"][-1]))
    return spans

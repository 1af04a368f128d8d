"""The roofline: what a chip's peak and bandwidth allow at a case's intensity, and what the case reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hardware.chips import find_chip
from runner.messages import tr
from runner.record.names import written
from runner.record.report import Report
from runner.views.charts.parts.chart import ORANGE, PALETTE, Chart, Row, data, finished
from runner.views.charts.parts.labels import names_of_points
from runner.views.charts.parts.layers import Key, shortened, x_axis, y_axis
from runner.views.tables import emulated

MOST_ROOFS, MOST_LABELS = len(PALETTE), 12
MARGIN = 8.0
"""Factor by which the axis of intensities reaches beyond the cases and the ridges."""
UNIT = "FLOP/s"


@dataclass(kw_only=True, slots=True, frozen=True)
class Place:
    """A case on the roofline of its chip; rates are of one device."""

    label: str
    chip: str
    precision: str
    intensity: float
    """FLOP for each byte that must be moved at the least."""
    achieved: float
    """FLOP/s."""
    peak: float
    """FLOP/s of the data sheet, dense."""
    bandwidth: float
    """Byte/s of the data sheet."""
    measured_peak: float | None

    @property
    def roof(self) -> tuple[str, str, float, float]:
        """What cases on the same roof have in common."""
        return self.chip, self.precision, self.peak, self.bandwidth


def place_of(report: Report, label: str) -> Place | None:
    """Where a report's case lies; null where it does not hold all that is needed, or was emulated."""
    names = ("compute/achieved_flops_per_second", "compute/peak_flops_per_second", "compute/mbu")
    achieved, peak, mbu = (_value(report, name) for name in names)
    chip = find_chip(str(report.case.get("chip")))
    gb_s = chip.memory_bandwidth_gb_s if chip else None
    if emulated(report) or chip is None or not (achieved and peak and mbu and gb_s):
        return None
    devices = float(report.case.get("devices") or 1)
    measured = _value(report, "compute/measured_peak_flops_per_second")
    bandwidth = gb_s * 1e9
    return Place(
        label=label,
        chip=chip.name,
        precision=str(report.case.get("precision")),
        # mbu = bytes/s ÷ bandwidth, so that FLOP/s ÷ (mbu x bandwidth) is FLOP/byte.
        intensity=achieved / devices / (mbu * bandwidth),
        achieved=achieved / devices,
        peak=peak / devices,
        bandwidth=bandwidth,
        measured_peak=measured / devices if measured else None,
    )


def roofline(places: Sequence[Place], *, title: str) -> Chart | None:
    """The roofs of the cases' chips and precisions, and a point for each case; null without any."""
    import altair

    roofs = list(dict.fromkeys(place.roof for place in places))[:MOST_ROOFS]
    shown = [place for place in places if place.roof in roofs]
    if not shown:
        return None
    ridges = [peak / bandwidth for _, _, peak, bandwidth in roofs]
    lowest = min([*ridges, *(place.intensity for place in shown)]) / MARGIN
    highest = max([*ridges, *(place.intensity for place in shown)]) * MARGIN
    colors: dict[str, str] = {}
    rows: list[Row] = []
    for roof, color in zip(roofs, PALETTE, strict=False):
        chip, precision, peak, bandwidth = roof
        series = f"{chip}, {precision}: {_said(peak)}"
        colors[series] = color
        for x, y in ((lowest, lowest * bandwidth), (peak / bandwidth, peak), (highest, peak)):
            rows.append({"x": x, "rate": y, "series": series})
    names = dict(zip(roofs, colors, strict=True))
    measured = _measured(shown, lowest, highest)
    key = Key(colors | {str(row["series"]): ORANGE for row in measured})
    x = x_axis(
        tr("arithmetic intensity (FLOP/byte), of the least traffic"),
        scale=altair.Scale(type="log", nice=False, domain=[lowest, highest]),
        format="~g",
    )
    y = y_axis("rate", tr("FLOP/s per device"), zero=False, scale=altair.Scale(type="log", nice=True), format="~s")
    lines = altair.Chart(data(rows)).mark_line(strokeWidth=2).encode(x=x, y=y, color=key.color())
    points = [_point(place, names[place.roof]) for place in shown]
    said = [
        altair.Tooltip("label:N", title=" "),
        altair.Tooltip("x:Q", title=tr("FLOP/byte"), format=",.4~g"),
        altair.Tooltip("said:N", title=tr("per device")),
        altair.Tooltip("share:Q", title=tr("of its roof"), format=".1%"),
    ]
    base = altair.Chart(data(points)).encode(x=x, y=y, tooltip=said)
    layers = [lines]
    if measured:
        dashes = altair.Chart(data(measured)).mark_line(strokeDash=[6, 4], strokeWidth=1.6)
        layers.append(dashes.encode(x=x, y=y, color=key.color(), detail="group:N"))
    layers.append(base.mark_point(filled=True, size=90, opacity=1).encode(color=key.color()))
    if len(shown) <= MOST_LABELS:
        bottom = min(row["rate"] for row in (*rows, *points))
        top = max(row["rate"] for row in rows)

        def at(row: Row) -> tuple[float, float]:
            return _along(row["x"], lowest, highest), 1 - _along(row["rate"], bottom, top)

        layers += names_of_points(points, at, x, y)
    return finished("roofline", title, layers, note=_note(roofs, len(places) - len(shown)))


def _measured(shown: Sequence[Place], lowest: float, highest: float) -> list[Row]:
    """A dashed level for each measured peak, from where the memory would allow it."""
    told = {(place.roof, place.measured_peak) for place in shown if place.measured_peak}
    rows: list[Row] = []
    for group, ((_, _, _, bandwidth), peak) in enumerate(sorted(told, key=str)):
        assert peak is not None
        begin = max(lowest, peak / bandwidth)
        said = tr("peak measured by runner.peaks")
        rows += [{"x": x, "rate": peak, "series": said, "group": str(group)} for x in (begin, highest)]
    return rows


def _point(place: Place, series: str) -> Row:
    allowed = min(place.peak, place.bandwidth * place.intensity)
    share = place.achieved / allowed
    return {
        "x": place.intensity,
        "rate": place.achieved,
        "series": series,
        "said": _said(place.achieved),
        "share": share,
        "label": place.label,
        "text": f"{shortened(place.label, 30)}: {_said(place.achieved)}, {100 * share:.1f} %",
    }


def _along(value: float, low: float, high: float) -> float:
    """How far along a logarithmic axis."""
    return math.log(value / low) / math.log(high / low)


def _note(roofs: Sequence[tuple[str, str, float, float]], left_out: int) -> str:
    note = tr(
        "Lines: the data sheet's dense peak and memory bandwidth of one device. A case's intensity counts the least "
        "bytes that it must move, so that its real one is lower."
    )
    speeds = {chip: f"{chip} {bandwidth / 1e9:,.0f} GB/s" for chip, _, _, bandwidth in roofs}
    note += " " + tr("Bandwidth: {each}.", each=", ".join(speeds.values()))
    return f"{note} {tr('{count} cases on further chips are not drawn.', count=left_out)}" if left_out else note


def _said(rate: float) -> str:
    return " ".join(written(rate, UNIT, "prefixed"))


def _value(report: Report, name: str) -> float | None:
    figure = report.figures.get(name)
    return None if figure is None else figure.value

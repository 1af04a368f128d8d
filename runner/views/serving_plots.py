"""PNG plots of a served model: latency, numerics, throughput against batch size. A plot without data is not drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from runner.config.schema import Case
from runner.core.events import Event, Name
from runner.record.report import Report
from runner.record.serving_names import ERROR_POWERS
from runner.results.repeats import REPEATS
from runner.serving.load.requests import Request, read_requests
from runner.views.drawing import BLUE, GREEN, GREY, LINES, ORANGE, RED, axes_of

Row = dict[str, Any]
LIMIT_LABELS = {"latency_ms": "limit of latency", "ttft_ms": "limit of the first token"}
SPEEDS = {
    "samples_per_second": "{unit}/s",
    "tokens_per_second": "tokens/s, whole answers",
    "prefill_tokens_per_second": "tokens/s, prefill alone",
    "decode_tokens_per_second": "tokens/s, decoding alone",
}
"""What a point may tell of its speed, and the label of the axis; the first two are of the same requests."""
MOST_OUTPUTS = 6
"""Outputs of a network of which a histogram is drawn: those nearest to, or furthest below, the threshold."""


def serving_figures(folder: Path, report: Report, case: Case, told: Sequence[Event]) -> dict[str, Any]:
    """Figures by file name; None for what there is no data of."""
    numerics = next((event.value for event in reversed(told) if event.name == Name.NUMERICS), {})
    return {
        "latency": _latency(read_requests(folder), report, case),
        "numerics": _numerics(numerics),
        "batch_sizes": _batch_sizes([event.value for event in told if event.name == Name.POINT], folder, report, case),
    }


def _latency(requests: list[Request], report: Report, case: Case) -> Any:
    """Left each request by when it was due, right the share of requests that had their answer by then."""
    if not requests:
        return None
    figure, ((over_time, shares),) = axes_of(columns=2)
    origin_s = min(one.arrived_s for one in requests)
    kinds: list[tuple[str, str, Callable[[Request], float | None]]] = [
        ("whole answer", BLUE, lambda one: one.latency_s),
        ("first token", GREEN, lambda one: one.ttft_s),
    ]
    for label, color, latency_of in kinds:
        seen = [(one.arrived_s - origin_s, 1e3 * s) for one in requests if (s := latency_of(one)) is not None]
        if not seen:
            continue
        over_time.plot(*zip(*seen, strict=True), ".", color=color, alpha=0.5, markersize=4)
        ordered = sorted(ms for _, ms in seen)
        share = [100 * (place + 1) / len(ordered) for place in range(len(ordered))]
        shares.step(share, ordered, where="pre", color=color, linewidth=1.6, label=label)
    for name, style in (("p50", "--"), ("p90", "-."), ("p99", ":")):
        found = report.figures.get(f"infer/latency_{name}_ms")
        if found is not None and found.value is not None:
            label = f"{name}{', mean of repeats' if found.interval else ''}: {found.value:,.4g} ms"
            shares.axhline(found.value, color=ORANGE, linestyle=style, linewidth=1.2, label=label)
    for name, limit in case.load.slo.given.items():
        if name in LIMIT_LABELS:
            shares.axhline(limit, color=RED, linewidth=1.2, label=f"{LIMIT_LABELS[name]}: {limit:,.4g} ms")
    over_time.set(xlabel="time of arrival (s)", ylabel="latency (ms)", ylim=(0, None))
    shares.set(xlabel=f"share of {len(requests):,} requests (%)", xlim=(0, 100))
    figure.legend(*shares.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _numerics(told: Row) -> Any:
    """Elements of each output by the size of their error."""
    outputs = {name: one for name, one in told.get("outputs", {}).items() if one.get("histogram")}
    worst = sorted(outputs, key=lambda name: _ratio(outputs[name]))[:MOST_OUTPUTS]
    if not worst:
        return None
    figure, grid = axes_of(rows=len(worst), share_x=True)
    for name, axes in zip(worst, grid[:, 0] if len(worst) > 1 else [grid], strict=True):
        one = outputs[name]
        counts, total = one["histogram"], sum(one["histogram"].values())
        edges = ["0", *(f"1e{power}" for power in ERROR_POWERS)]
        axes.bar(range(len(edges)), [100 * counts.get(edge, 0) / total for edge in edges], color=BLUE, width=0.85)
        ratio = "no error" if one["snr_db"] is None else f"{one['snr_db']:.1f} dB"
        axes.set_title(f"{name}: {ratio}, {total:,} elements", fontsize=10)
        axes.set(ylabel="elements (%)", ylim=(0, 100))
        axes.set_xticks(range(len(edges)), ["none", *(str(power) for power in ERROR_POWERS)])
    figure.supxlabel(
        "power of ten of |error| ÷ root mean square of the fp32 reference "
        f"(no less than {told['least_snr_db']:g} dB is allowed)",
        fontsize=10,
    )
    return figure


def _ratio(output: Row) -> float:
    return float("inf") if output["snr_db"] is None else float(output["snr_db"])


def _batch_sizes(points: list[Row], folder: Path, report: Report, case: Case) -> Any:
    """Speed by batch size, a line for each kind of point; a picture needs two sizes."""
    rows = [*points, *_served(folder, report, case, points)]
    names = [name for name in SPEEDS if len(_sizes(rows, name)) > 1]
    if "tokens_per_second" in names:
        names.remove("samples_per_second")
    if not names:
        return None
    figure, grid = axes_of(rows=len(names), share_x=True)
    for name, axes in zip(names, grid[:, 0] if len(names) > 1 else [grid], strict=True):
        lines: dict[str, list[tuple[int, float]]] = {}
        for row in rows:
            if row.get(name) is not None:
                lines.setdefault(_label(row), []).append((row["batch_size"], row[name]))
        for (label, line), color in zip(sorted(lines.items()), cycle(LINES), strict=False):
            axes.plot(*zip(*sorted(line), strict=True), color=color, marker="o", markersize=4, label=label)
        axes.set_xscale("log", base=2)
        axes.set(ylabel=SPEEDS[name].format(unit=case.model.unit), ylim=(0, None))
        axes.axvline(case.model.inference.batch_size, color=GREY, linestyle=":", linewidth=1)
        axes.legend(fontsize=8)
    sizes = sorted(_sizes(rows, names[0]))
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("batch size (dotted: the served one)")
    return figure


def _served(folder: Path, report: Report, case: Case, points: list[Row]) -> list[Row]:
    """The window itself as a point; not beside repeats, of which the report holds the mean."""
    speed = _value(report, "infer/samples_per_second")
    if speed is None or case.load.name != "offline" or not points or folder.parent.name == REPEATS:
        return []
    own: Row = {"batch_size": case.model.inference.batch_size, "copies": True, "samples_per_second": speed}
    if (generation := case.model.inference.generation) is not None:
        own |= {"prompt_tokens": generation.prompt_tokens, "new_tokens": generation.new_tokens}
        own["tokens_per_second"] = _value(report, "generation/tokens_per_second")
    return [own]


def _sizes(rows: list[Row], name: str) -> set[int]:
    return {row["batch_size"] for row in rows if row.get(name) is not None}


def _label(row: Row) -> str:
    if "prompt_tokens" in row:
        return f"{row['prompt_tokens']} + {row['new_tokens']} tokens"
    return "with copies" if row.get("copies") else "copies excluded"


def _value(report: Report, name: str) -> float | None:
    figure = report.figures.get(name)
    return None if figure is None else figure.value

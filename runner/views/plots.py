"""PNG plots of a run: loss, throughput, quality, power; of a served one latency and more. None without data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, cycle, groupby
from pathlib import Path
from typing import Any

from runner.config import schema
from runner.core.events import Event, Name, read_events
from runner.core.tasks import TASKS
from runner.record.report import Report
from runner.record.series import StepPoint, read_power, read_steps
from runner.results.repeats import repeat_folders
from runner.views.drawing import BLUE, GREEN, GREY, LINES, ORANGE, RED, axes_of, save
from runner.views.serving_plots import serving_figures

FOLDER = "plots"
BANDS = {"segment": ("measured", BLUE), "idle": ("idle", GREY)}
"""Marks `<key>_begin` and `<key>_end` in the power trace: label and colour of the band between them."""
LINES_OF_MARKS = {"target": GREEN, "train_begin": RED, "train_end": RED}
PHASES = {"warmup": ("warm-up", GREY), "window": ("measured window", BLUE)}
SMOOTHED_POINTS = 60
"""A smoothed line has about this many independent points."""


def draw_plots(run_folder: Path, report: Report) -> list[Path]:
    """Draw what the folder, or each of its repeats, has data for into `plots/`.

    Returns:
        The files drawn: of `loss.png`, `throughput.png`, `quality.png`, `power.png`, and of a served model
        `latency.png`, `numerics.png`, `batch_sizes.png`; `loss_repeat1.png` … for repeats.
    """
    case = schema.load_case(run_folder)
    repeats = repeat_folders(run_folder)
    parts = {f"_repeat{folder.name}": folder for folder in repeats} or {"": run_folder}
    paths = []
    for suffix, folder in parts.items():
        for name, figure in _figures(folder, report, case).items():
            if figure is not None:
                title = f"{case.name}, {suffix[1:].replace('repeat', 'repeat ')}" if suffix else case.name
                paths.append(save(figure, run_folder / FOLDER / f"{name}{suffix}.png", title, emulated=case.emulate))
    return paths


def _figures(folder: Path, report: Report, case: schema.Case) -> dict[str, Any]:
    steps = read_steps(folder / "steps.csv")
    told, _ = read_events(folder / "events" / "rank0.log")
    if TASKS.find(case.task.name).serves:
        return serving_figures(folder, report, case, told) | {"power": _power(folder / "power.csv")}
    return {
        "loss": _loss(steps),
        "throughput": _throughput(steps, report, case.model.unit),
        "quality": _quality(told, case),
        "power": _power(folder / "power.csv"),
    }


def _loss(steps: list[StepPoint]) -> Any:
    told = [(step.step, step.loss) for step in steps if step.loss is not None]
    if not told:
        return None
    figure, axes = axes_of()
    x, y = [step for step, _ in told], [loss for _, loss in told]
    axes.plot(x, y, color=BLUE, alpha=0.35, linewidth=0.8, label="each step")
    smoothed = _smoothed(y, [1.0] * len(y))
    if smoothed:
        axes.plot(x[len(x) - len(smoothed) :], smoothed, color=BLUE, linewidth=1.8, label="moving mean")
    _shade_phases(axes, steps, [step.step for step in steps])
    axes.set(xlabel="optimizer step", ylabel="training loss")
    axes.legend()
    return figure


def _throughput(steps: list[StepPoint], report: Report, unit: str) -> Any:
    told = [step for step in steps if step.seconds > 0]
    if not told:
        return None
    figure, axes = axes_of()
    ends = list(accumulate(step.seconds for step in told))
    seconds, samples = [step.seconds for step in told], [float(step.samples) for step in told]
    speeds = [count / time for count, time in zip(samples, seconds, strict=True)]
    axes.plot(ends, speeds, ".", color=BLUE, alpha=0.35, markersize=3, label="each step")
    smoothed = _smoothed(samples, seconds)
    if smoothed:
        axes.plot(ends[len(ends) - len(smoothed) :], smoothed, color=BLUE, linewidth=1.8, label="moving mean")
    steady = report.figures.get("throughput/steady")
    if steady is not None and steady.value is not None:
        label = f"steady{', mean of repeats' if steady.interval else ''}: {steady.value:,.4g} {steady.unit}"
        axes.axhline(steady.value, color=ORANGE, linestyle="--", linewidth=1.4, label=label)
    _shade_phases(axes, told, ends)
    axes.set(xlabel="time in training steps (s)", ylabel=f"throughput ({unit}/s)", ylim=(0, None))
    axes.legend(loc="lower right")
    return figure


def _quality(events: Sequence[Event], case: schema.Case) -> Any:
    evaluations = [event for event in events if event.name in (Name.INIT_EVALUATION, Name.EVALUATE)]
    if case.model.train is None:
        return None
    quality = case.model.train.quality
    metrics = [name for name in quality.targets if any(_quality_of(event, name) is not None for event in evaluations)]
    if not metrics:
        return None
    figure, grid = axes_of(rows=len(metrics), columns=2)
    origin_ms = next((event.time_ms for event in events if event.name == Name.TRAIN_START), evaluations[0].time_ms)
    for name, (over_samples, over_time) in zip(metrics, grid, strict=True):
        seen = [event for event in evaluations if _quality_of(event, name) is not None]
        values = [_quality_of(event, name) for event in seen]
        for axes, x in (
            (over_samples, [event.value.get("samples") or 0 for event in seen]),
            (over_time, [_training_s(event, origin_ms) for event in seen]),
        ):
            axes.plot(x, values, color=BLUE, marker="o", markersize=4, label="evaluations")
            target = quality.targets[name]
            axes.axhline(target, color=ORANGE, linestyle="--", linewidth=1.4, label=f"target: {target:g}")
        over_samples.set_ylabel(name)
        over_samples.legend()
    for axes in grid[:, 0]:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.locator_params(axis="x", nbins=5)
    grid[-1][0].set_xlabel(f"training samples ({case.model.unit})")
    grid[-1][1].set_xlabel("training time, evaluations included (s)")
    return figure


def _quality_of(event: Event, name: str) -> float | None:
    value = (event.value.get("quality") or {}).get(name)
    return float(value) if isinstance(value, int | float) else None


def _training_s(event: Event, origin_ms: int) -> float:
    """Training time at an evaluation: as the worker counted it over all parts of a run, else since training began."""
    if event.name == Name.INIT_EVALUATION:
        return 0.0
    counted = event.value.get("training_s")
    return float(counted) if counted is not None else (event.time_ms - origin_ms) / 1000


def _power(path: Path) -> Any:
    try:
        traces, marks = read_power(path)
    except ValueError:  # a trace of another version; the report says so where the power should stand
        return None
    if not traces:
        return None
    figure, axes = axes_of()
    origin_s = min(trace.times_s[0] for trace in traces)
    for trace, color in zip(traces, cycle(LINES), strict=False):
        axes.plot(
            [time - origin_s for time in trace.times_s], trace.power_w, color=color, linewidth=1, label=trace.label
        )
    _draw_marks(axes, [(name, time - origin_s) for name, time in marks.items()])
    axes.set(xlabel="time (s)", ylabel="power (W)", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _draw_marks(axes: Any, marks: list[tuple[str, float]]) -> None:
    """Stretches between `x_begin` and `x_end` as bands (measured, idle), all other marks as lines."""
    begun: dict[str, float] = {}
    labelled: set[str] = set()
    for mark, time in marks:
        name, _, number = mark.partition(":")
        kind, _, edge = name.rpartition("_")
        if kind in BANDS and edge == "begin":
            begun[f"{kind}:{number}"] = time
        elif kind in BANDS and edge == "end":
            begin = begun.pop(f"{kind}:{number}", None)
            if begin is not None:
                label, color = BANDS[kind]
                axes.axvspan(begin, time, color=color, alpha=0.15, linewidth=0, label=_once(label, labelled))
        else:
            color = LINES_OF_MARKS.get(name, GREY)
            label = name.replace("_", " ")
            axes.axvline(time, color=color, linewidth=0.9, linestyle=":", label=_once(label, labelled))


def _once(label: str, labelled: set[str]) -> str | None:
    """`label` the first time, then null: the legend names a kind once."""
    if label in labelled:
        return None
    labelled.add(label)
    return label


def _shade_phases(axes: Any, steps: list[StepPoint], ends: Sequence[float]) -> None:
    """A band behind each run of warm-up steps and of measured steps."""
    labelled: set[str] = set()
    begin, index = 0.0, 0
    for phase, members in groupby(steps, key=lambda step: step.phase):
        index += len(list(members))
        if phase in PHASES:
            label, color = PHASES[phase]
            axes.axvspan(begin, ends[index - 1], color=color, alpha=0.12, linewidth=0, label=_once(label, labelled))
        begin = ends[index - 1]


def _smoothed(values: list[float], weights: list[float]) -> list[float]:
    """Moving sum of values ÷ moving sum of weights, for the end of each stretch; empty when there are too few."""
    width = max(5, len(values) // SMOOTHED_POINTS)
    if len(values) < 2 * width:
        return []
    sums = [[0.0, *accumulate(column)] for column in (values, weights)]
    return [
        (sums[0][end] - sums[0][end - width]) / (sums[1][end] - sums[1][end - width])
        for end in range(width, len(values) + 1)
    ]

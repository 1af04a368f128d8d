"""What a million samples cost, where somebody says what an hour of a system costs."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import replace

from runner.comparison.main_figure import main_figure
from runner.comparison.result import COST, RunResult
from runner.core.errors import ConfigurationError
from runner.messages import tr
from runner.record.report import Figure, Report

_PER_SECOND = "/s"
_MILLION_PER_HOUR = 1e6 / 3600


def parse_prices(text: str, runs: Sequence[RunResult]) -> list[float | None]:
    """The price of an hour of each run's whole system, all its devices; None where none is given.

    Args:
        text: `1=2.5,2=4`: the number of a run, or the vendor or chip that it ran on, and a price.
        runs: the runs, in their order.

    Raises:
        ConfigurationError: a price is none, or nothing of the runs is called so.
    """
    prices: list[float | None] = [None] * len(runs)
    names = [
        {str(number), *(str(run.report.case[key]) for key in ("chip", "vendor") if run.report.case.get(key))}
        for number, run in enumerate(runs, 1)
    ]
    for part in text.split(","):
        name, _, price = part.partition("=")
        fitting = [index for index, own in enumerate(names) if name.strip() in own]
        if not fitting:
            every = sorted(set.union(*names))
            near = difflib.get_close_matches(name.strip(), every, n=1, cutoff=0)
            raise ConfigurationError(
                f"--cost-per-hour {part}: no run has this number, chip or vendor. Nearest: {near[0]}. Write for "
                f"instance --cost-per-hour 1=2.5,2=4"
            )
        for index in fitting:
            prices[index] = _price(price, part)
    return prices


def _price(text: str, part: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not price > 0 or math.isinf(price):
        raise ConfigurationError(f"--cost-per-hour {part}: '{text}' is no price above 0.")
    return price


def with_cost(run: RunResult, price: float | None, currency: str, name: str | None) -> RunResult:
    """The result with its cost per million samples among its figures.

    Args:
        run: the result.
        price: of an hour of its whole system.
        currency: of the price.
        name: the figure of speed that all runs have, e.g. `throughput/steady`.
    """
    report = run.report
    figures = report.figures | {COST.name: _cost(report, price, currency, name)}
    return RunResult(report=replace(report, figures=figures), folder=run.folder)


def speed_of(runs: Sequence[RunResult]) -> str | None:
    """The figure that counts samples, or tokens, per second and that all of these runs measured."""
    return main_figure([run.report for run in runs], per_second=True)


def _cost(report: Report, price: float | None, currency: str, name: str | None) -> Figure:
    figure = report.figures.get(name) if name else None
    counted = figure.unit.removesuffix(_PER_SECOND) if figure else str(report.case.get("unit") or "samples")
    unit = f"{currency}/million {counted}"
    if price is None:
        return Figure(value=None, unit=unit, reason=tr("nobody said what an hour costs (--cost-per-hour)"))
    if figure is None or figure.value is None or figure.value <= 0:
        return Figure(value=None, unit=unit, reason=tr("no figure of samples per second that all runs measured"))
    factor = price * _MILLION_PER_HOUR
    told = figure.repeats or ()
    low, high = figure.interval or (0.0, 0.0)
    return Figure(
        value=factor / figure.value,
        unit=unit,
        interval=(factor / high, factor / low) if low > 0 else None,
        # Of the same relative spread about the same mean: a mean of inverses is not the inverse of the mean.
        repeats=tuple(factor / figure.value * (2 - one / figure.value) for one in told) or None,
    )

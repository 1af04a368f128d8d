"""Summaries for the leaderboard, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from report_samples import failed, report

from runner.record.report import Figure, Report
from runner.results.index.summary import Summary, summary_of

CHIPS = ("A100-SXM4-80GB", "H100-SXM5-80GB", "MetaX C500", "Kunlunxin R200")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


def repeated(made: Report, values: tuple[float, ...], interval: tuple[float, float]) -> Report:
    """A report whose steady throughput is the mean of repeats."""
    mean = sum(values) / len(values)
    figure = Figure(value=mean, unit="sequences/s", interval=interval, repeats=values)
    made.figures["throughput/steady"] = figure
    made.case["repeats"] = len(values)
    return made


def summary(made: Report, name: str = "run", *, started_ms: int | None = None) -> Summary:
    """A report's summary, of a folder of this name."""
    return summary_of(made, Path("outputs") / name, started_ms=started_ms)


def many(count: int) -> list[Summary]:
    """So many results of 40 models, on four chips, in four precisions; every 50th failed."""
    made = []
    for number in range(count):
        about: dict[str, Any] = {
            "model": f"model_{number % 40:02}",
            "chip": CHIPS[number % 4],
            "precision": PRECISIONS[number // 4 % 4],
            "seed": number,
        }
        one = failed(**about) if number % 50 == 49 else report(values={"throughput/steady": 100.0 + number}, **about)
        made.append(summary(one, f"run_{number:04}", started_ms=1_790_000_000_000 + number * 60_000))
    return made

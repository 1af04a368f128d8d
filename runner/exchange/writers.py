"""Results in other tools' formats, for `python -m runner.report --format`. Each is read back by `runner.import`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from runner.record.report import Report


class Result(Protocol):
    """A result and where it lies: `runner.views.comparable.RunResult` is one."""

    report: Report
    folder: Path


def to_flagperf(results: Sequence[Result]) -> str:
    """FlagPerf's README tables, Markdown: one table per model and way of running it.

    Raises:
        ConfigurationError: a result is neither training nor serving.
    """
    from runner.exchange.flagperf.writer import write

    return write([(one.folder, one.report) for one in results])


def to_bytemlperf(results: Sequence[Result]) -> str:
    """ByteMLPerf's result JSON: an object for one result, a list for several.

    Raises:
        ConfigurationError: a result is not of a served model.
    """
    from runner.exchange.bytemlperf.writer import write

    return write([(one.folder, one.report) for one in results])


def to_mllog(results: Sequence[Result]) -> str:
    """MLPerf's MLLOG lines of one training run.

    Raises:
        ConfigurationError: not exactly one result, or not one of training.
    """
    from runner.exchange.mlperf.mllog_writer import write

    return write([(one.folder, one.report) for one in results])


WRITERS: dict[str, Callable[[Sequence[Result]], str]] = {
    "flagperf": to_flagperf,
    "bytemlperf": to_bytemlperf,
    "mllog": to_mllog,
}
"""Name of a format to what writes it."""

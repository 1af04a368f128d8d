"""Whether a result is as good as it has to be: speed is worth nothing where the answers are wrong."""

from __future__ import annotations

from runner.comparison.result import value_of
from runner.messages import tr, tr_recorded
from runner.record.names import LAST, is_accuracy, is_quality
from runner.record.report import Report

GATES = ("quality/reached", "accuracy/gate_passed", "numerics/passed")
"""Yes or no."""


def unkept(report: Report) -> list[str]:
    """What a result does not keep, a phrase each; empty of one that ended well and is as good as it has to be."""
    said = []
    if report.status != "done":
        cause = f": {tr_recorded(report.error['message']).rstrip('.。')}" if report.error else ""
        said.append(tr("it did not end well (exit {code}){cause}", code=report.exit_code, cause=cause))
    missed = {
        "quality/reached": tr("it misses its quality target"),
        "accuracy/gate_passed": tr("it misses its accuracy gate"),
        "numerics/passed": tr("its numerics are outside the precision's threshold"),
    }
    return said + [text for name, text in missed.items() if value_of(report, name) == 0]


def is_goodness(name: str) -> bool:
    """Whether a figure says how good the answers are: no noise excuses its loss."""
    return name in GATES or (is_quality(name) and not name.endswith(LAST)) or is_accuracy(name)

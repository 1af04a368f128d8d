"""Figures of answers in tokens: when the first one came, and how fast the others."""

from __future__ import annotations

from runner.record.names import FIGURES
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Values
from runner.serving.load.requests import Request


def generation(run_record: RunRecord, requests: list[Request], seconds: float) -> Values:
    """`generation/*`; null of models that answer in one forward pass."""
    names = [name for name in FIGURES if name.startswith("generation/")]
    return dict.fromkeys(names, Missing("the model answers in one forward pass, not in tokens"))

"""Of what kind a case is, and on what machine it ran: what a baseline and a history are looked up by."""

from __future__ import annotations

from runner.comparison.likeness import comparable_key
from runner.comparison.result import rule_changes
from runner.record.migrate import DATA
from runner.record.report import Report

_CHOICES = ("vendor", "chip", "precision", "framework", "compiler", "topology", "nodes", "devices", "layout")
_BEFORE = {"nodes": "1", "layout": DATA}
"""What every run was before reports told it (`runner.record.migrate`)."""
_MEASURING = ("measure.", "tracking.")

Kind = tuple[tuple[str, str], ...]
"""(field, value) pairs."""


def kind_of(report: Report) -> Kind:
    """What two runs have in common that only time and software tell apart.

    Batch size, seed and what the engine's own defaults are may differ: a new version that changes them is what a gate
    is for, and it says so. The identity of a case changes with every new key of its configuration, and is no use here.
    """
    changes = sorted(f"{key}={value}" for key, value in rule_changes(report) if not key.startswith(_MEASURING))
    choices = [(key, str(report.case.get(key))) for key in _CHOICES]
    return (*comparable_key(report), *choices, ("changes", " ".join(changes)))


def same_kind(kept: Kind, kind: Kind) -> bool:
    """Whether a kind that a baseline keeps is one of today's; it may be of before kinds told nodes and layout."""
    return _BEFORE | dict(kept) == dict(kind)


def title_of(report: Report) -> str:
    """A kind in words."""
    case = report.case
    said = [case.get(key) for key in ("task", "model", "scale", "precision", "vendor", "compiler", "load")]
    devices = case.get("devices")
    return " ".join([*(str(one) for one in said if one), *([f"x{devices}"] if devices not in (None, 1) else [])])


def machine_of(report: Report) -> str:
    """The machine as far as a report tells it: processor, cores, memory, and the device."""
    host = report.environment.get("host")
    host = host if isinstance(host, dict) else {}
    memory = host.get("memory_gib")
    size = f"{memory:.0f} GiB" if isinstance(memory, int | float) else "? GiB"
    parts = [host.get("cpu") or "?", f"{host.get('cores_logical') or '?'} cores", size, report.case.get("chip") or "?"]
    return ", ".join(str(part) for part in parts)

"""Reports of earlier schemas, read as today's."""

from __future__ import annotations

from typing import Any

FIGURES = {
    "limit/throughput_samples_per_second": "roofline/throughput_samples_per_second",
    "limit/fraction": "roofline/fraction",
}
"""Figures renamed with schema 2."""
DATA = "data"
"""The layout in which every rank has a whole copy of the model."""
CASE = {"accumulate": "gradient_accumulation_steps"}
"""Keys of the case renamed with schema 2."""


def migrated(raw: dict[str, Any], to: int) -> dict[str, Any]:
    """A report as JSON, in the schema `to`; one of that schema, or of a later one, stays as it is.

    Schema 3 added what each repeat measured, and results of other tools; nothing of it can be known of earlier reports.
    Schema 4 added nodes and parallel layouts: before it, every run of ours was data parallel on one machine.
    The hash that the report states is of its content as it was written: compare it before.
    """
    if raw["schema_version"] >= to:
        return raw
    figures = {FIGURES.get(name, name): figure for name, figure in raw["figures"].items()}
    case = {CASE.get(name, name): value for name, value in raw["case"].items()}
    if not raw.get("imported"):
        case = {"nodes": 1, "layout": DATA} | case
    return raw | {"schema_version": to, "figures": figures, "case": case}

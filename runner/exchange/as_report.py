"""From what a reader found to a report: our names and units, null with a reason for all that the file does not tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardware.chips import find_chip
from runner.config.division import Division
from runner.core.errors import ConfigurationError
from runner.exchange.base.imported import Imported, short
from runner.exchange.base.models import known_model
from runner.exchange.base.titles import TITLES
from runner.record.names import definition, is_accuracy, is_quality
from runner.record.report import Figure, Publication, Report, file_digest
from runner.record.task import Task, serves, task_named
from runner.record.values import Missing, Value, Values
from runner.results.publication.rules import PUBLISHABLE, judged

CASE = (
    *("name", "task", "model", "unit", "framework", "compiler", "vendor", "chip", "precision", "topology", "devices"),
    *("batch_size", "gradient_accumulation_steps", "scale", "data", "measure", "seed", "emulated"),
)
"""Keys that every imported case has, null where nobody knows."""
SAMPLES = "samples"
"""The unit of a model that is not known."""
_EXIT_CODE = 1
_OWN_UNIT = "{unit}"


def to_report(imported: Imported, supplied: Mapping[str, Any]) -> Report:
    """The report of an imported result.

    Args:
        imported: what the reader found.
        supplied: keys of the case that the user supplied, see `parse_supplied`.

    Raises:
        ConfigurationError: the file tells another value of a supplied key, or its figures are in another unit than
            the supplied model counts.
    """
    title = TITLES[imported.format]
    values, warnings = dict(imported.values), list(imported.notes)
    _choose_batch(imported, supplied, values, warnings)
    case = _case(imported, supplied, values)
    task = task_named(case["task"])
    warnings += [f"Not taken over: {one.name}: {one.why}." for one in imported.dropped]
    if supplied:
        told = ", ".join(f"{key}={value}" for key, value in supplied.items())
        warnings.append(f"Supplied by hand, not read from the file: {told}.")
    report = Report(
        status="failed" if imported.error else "done",
        exit_code=_EXIT_CODE if imported.error else 0,
        error={"class": imported.error[0], "message": imported.error[1]} if imported.error else None,
        case=case,
        figures=_figures(imported, values, task, str(case["unit"] or SAMPLES), title),
        precision={},
        division=Division(name="open", changed=[*_origin(title), *imported.changed]),
        environment=imported.environment,
        warnings=warnings,
        points=imported.points,
        publication=Publication(asked={}, parts=[], by_run=False),
        imported={
            "format": imported.format,
            "version": imported.version,
            "file": short(imported.source),
            "sha256": file_digest(imported.source),
        },
    )
    return judged(report)


def _choose_batch(imported: Imported, supplied: Mapping[str, Any], values: Values, warnings: list[str]) -> None:
    """Of several batch sizes the one that the user chose, else the fastest; the report says which."""
    sizes = imported.by_batch
    if len(sizes) <= 1:
        return
    measured = ", ".join(str(size) for size in sorted(sizes))
    if "batch_size" not in supplied:
        warnings.append(
            f"Measured at batch sizes {measured}: the figures are those of {imported.case['batch_size']}, the fastest. "
            "--set batch_size=N takes another one's."
        )
        return
    if supplied["batch_size"] not in sizes:
        raise ConfigurationError(
            f"{imported.source} has no batch size {supplied['batch_size']}; it was measured at {measured}."
        )
    # What only another size's row tells must not stand beside this one's.
    for name in {name for one in sizes.values() for name in one}:
        values[name] = Missing("not told at this batch size")
    values.update(sizes[supplied["batch_size"]])


def _origin(title: str) -> list[dict[str, Any]]:
    """Nobody can show that another tool's run kept to a case of ours: it is never closed."""
    return [{"key": "measured by", "reference": "Touchstone", "value": title, "allowed": False}]


def _case(imported: Imported, supplied: Mapping[str, Any], values: Values) -> dict[str, Any]:
    case: dict[str, Any] = {**dict.fromkeys(CASE), "name": imported.name, **imported.case}
    for key, value in supplied.items():
        chosen = key == "batch_size" and len(imported.by_batch) > 1
        if case.get(key) not in (None, value) and not chosen:
            raise ConfigurationError(
                f"{imported.source} says {key}={case[key]}, and --set says {key}={value}. Leave it out of --set, or "
                "import the right file."
            )
        case[key] = value
    _name_chip(case)
    _settle_unit(case, imported, supplied, values)
    _per_device(case, values)
    return case


def _name_chip(case: dict[str, Any]) -> None:
    """A name that the catalogue has is written as there, and says whose the chip is."""
    chip = find_chip(str(case["chip"])) if case["chip"] else None
    if chip is not None:
        case["chip"] = chip.name
        case["vendor"] = case["vendor"] or chip.vendor


def _settle_unit(case: dict[str, Any], imported: Imported, supplied: Mapping[str, Any], values: Values) -> None:
    """The unit that throughput is in: the model's own; figures in another one are refused by name."""
    model = known_model(str(case["model"])) if case["model"] else None
    counted = imported.counts
    if model is None:
        case["unit"] = case["unit"] or counted
        return
    asked = case["unit"]
    case["unit"] = model.unit
    case.setdefault("quality_mode", model.served_mode if serves(case["task"]) else model.mode)
    refused = [name for name, value in values.items() if isinstance(value, float) and _in_own_unit(name)]
    other = counted if counted not in (None, model.unit) else asked if asked not in (None, model.unit) else None
    if not refused or other is None:
        return
    told = f"{', '.join(refused)}: counted in {other}, and model={case['model']} counts {model.unit}"
    if "model" in supplied or "unit" in supplied:
        raise ConfigurationError(f"{imported.source}: {told}. Leave model out of --set, or choose the right one.")
    for name in refused:
        values[name] = Missing(f"counted in {other}, and the model counts {model.unit}")
        imported.drop(name, f"counted in {other}, and model={case['model']} counts {model.unit}")


def _in_own_unit(name: str) -> bool:
    try:
        return _OWN_UNIT in definition(name).unit
    except KeyError:
        return False


def _per_device(case: Mapping[str, Any], values: Values) -> None:
    """The whole job's throughput over its devices, or the other way round, where their number is known."""
    for name in ("steady", "whole", "train", "core"):
        job, each = f"throughput/{name}", f"throughput/{name}_per_device"
        have, devices = values.get(job), case["devices"]
        if isinstance(have, float) and each not in values and isinstance(devices, int):
            values[each] = have / devices


def _figures(imported: Imported, values: Values, task: Task | None, unit: str, title: str) -> dict[str, Figure]:
    if task is None:
        names, metric_names = list(values), []
    else:
        metric_names = list(imported.metrics)
        names = task.figure_names(metric_names)
        names += [name for name in values if (is_accuracy(name) or is_quality(name)) and name not in names]
    nothing = Missing(f"not in {title}'s output")
    figures = {name: _figure(values.get(name, nothing), _unit_of(name, task, unit)) for name in names}
    for name, value in values.items():
        if name not in figures and isinstance(value, float):
            figures[name] = _figure(value, _unit_of(name, None, unit))
    return {**figures, PUBLISHABLE: Figure(value=0.0, unit="bool")}


def _unit_of(name: str, task: Task | None, unit: str) -> str:
    try:
        return task.unit_of(name, unit) if task else definition(name).unit.format(unit=unit)
    except KeyError:
        return definition(name).unit.format(unit=unit)


def _figure(value: Value, unit: str) -> Figure:
    if isinstance(value, Missing):
        return Figure(value=None, unit=unit, reason=value.reason)
    return Figure(value=float(value), unit=unit)

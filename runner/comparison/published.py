"""What others published for a model, as results that stand beside measured ones; never publishable as ours."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hardware.chips import find_chip
from runner.comparison.result import PUBLISHED, UNSTATED, RunResult
from runner.config.division import Division
from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.exchange.base.models import known_model
from runner.record.names import definition
from runner.record.report import Figure, Report, file_digest
from runner.record.task import serves

PREFIX = "published:"
_SERVED = ("infer/", "accuracy/", "generation/", "numerics/")
_PER_SECOND = "/s"
_SHOWN = 12
"""Choices that an error names."""

Entry = dict[str, Any]
"""One figure of `conf/published/<model>.yaml`."""


def published_results(model: str | None) -> list[RunResult]:
    """What others published, a result for each system and way of running it.

    Args:
        model: its name; None: of every model.

    The `folder` of each is its address, `published:resnet50/A100-SXM4-80GB/tf32/x8`, as `runner.compare` takes it.
    """
    names = [model] if model is not None else packages.choices("published")
    return [one for name in names for one in _results(name)]


def find_published(address: str) -> RunResult:
    """The one result of an address `published:MODEL/CHIP[/PRECISION][/xDEVICES][/TASK][/VARIANT]`.

    Raises:
        ConfigurationError: there is none (names the nearest), or several (names them).
    """
    model, *wanted = address.removeprefix(PREFIX).split("/")
    every = _results(model)
    if not every:
        known = [name for name in packages.choices("published") if _results(name)]
        near = difflib.get_close_matches(model, known, n=1, cutoff=0.3)
        hint = f" Nearest: {PREFIX}{near[0]}." if near else ""
        raise ConfigurationError(f"{address}: nothing is published here for a model '{model}'.{hint}")
    found = every
    for part in filter(None, wanted):
        found = [one for one in found if _fits(one, part)]
        if not found:
            raise ConfigurationError(f"{address}: nothing published for {model} has '{part}'. {_choices(every, part)}")
    if len(found) > 1:
        raise ConfigurationError(f"{address} stands for {len(found)} results. {_choices(found)}")
    return found[0]


def _choices(results: list[RunResult], near: str = "") -> str:
    names = [str(one.folder) for one in results]
    if near:
        names.sort(key=lambda name: -max(_likeness(near, part) for part in name.split("/")[1:]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"Choose one of: {', '.join(map(repr, names[:_SHOWN]))}{more}."


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.casefold(), other.casefold()).ratio()


def _fits(result: RunResult, part: str) -> bool:
    case = result.report.case
    chip = find_chip(part)
    if part in (f"x{case['devices']}", case["precision"], case["task"]):
        return True
    if (chip.name if chip else part.casefold()) == (case["chip"] if chip else str(case["chip"]).casefold()):
        return True
    return bool(case["variant"]) and str(case["variant"]).casefold() == part.casefold()


@cache
def _results(model: str) -> list[RunResult]:
    path = packages.leaf("published", model)
    if path is None:
        return []
    entries = (yaml.safe_load(path.read_text()) or {}).get("figures") or []
    systems = list(_systems(entries))
    variants = _variants([system for system, _ in systems])
    return [
        _result(model, path, system, figures, variant)
        for (system, figures), variant in zip(systems, variants, strict=True)
    ]


def _variants(systems: list[Entry]) -> list[str]:
    """What tells each from the others of the same chip, precision and devices; empty where there is no other."""
    ways = [(_chip(one["chip"]), one["precision"], one["devices"]) for one in systems]
    told = [_tail(str(one["source"])) for one in systems]
    same = Counter(zip(ways, told, strict=True))
    longer = [
        f"{_head(str(one['source']))} {tail}" if same[way, tail] > 1 else tail
        for one, way, tail in zip(systems, ways, told, strict=True)
    ]
    return [text if ways.count(way) > 1 else "" for way, text in zip(ways, longer, strict=True)]


def _tail(source: str) -> str:
    """What a source says beyond where it stands: the engine, the batch size. A slash would part an address."""
    head, _, tail = source.partition(", ")
    return tail.replace("/", "-") or _head(head)


def _head(source: str) -> str:
    return source.partition(", ")[0].rpartition("/")[2]


def _systems(entries: list[Entry]) -> Iterator[tuple[Entry, list[Entry]]]:
    """The figures of each system and way of running it: those whose source says the same.

    A source that says no more than where another one begins (an accuracy, told once for all batch sizes) belongs to
    each of those.
    """
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        system = (_chip(entry["chip"]), entry["devices"], entry["precision"], entry["source"])
        groups.setdefault(system, []).append(entry)
    for key, figures in groups.items():
        source = key[-1]
        further = [other for other in groups if other[:-1] == key[:-1] and _extends(other[-1], source)]
        if not further:
            have = {one["figure"] for one in figures}
            shared = [
                one
                for other, told in groups.items()
                if other[:-1] == key[:-1] and _extends(source, other[-1])
                for one in told
                if one["figure"] not in have
            ]
            yield figures[0], [*figures, *shared]
        elif {one["figure"] for one in figures} & {one["figure"] for other in further for one in groups[other]}:
            yield figures[0], figures  # another way of running it


def _extends(longer: str, source: str) -> bool:
    return longer.startswith((f"{source},", f"{source};"))


def _chip(name: str) -> str:
    """A chip's name in the catalogue, whose names others spell their own way."""
    found = find_chip(name)
    return found.name if found else name


def _result(model: str, path: Path, system: Entry, entries: list[Entry], variant: str) -> RunResult:
    served = any(str(one["figure"]).startswith(_SERVED) for one in entries)
    case = _case(model, system, variant, task="infer" if served else "train")
    report = Report(
        status="done",
        exit_code=0,
        error=None,
        case=case,
        figures=_figures(entries, case),
        precision={},
        division=Division(name="open", changed=[_origin(system["source"])]),
        environment={},
        warnings=[f"Published: {system['source']}. How it was measured is not known beyond that."],
        imported={
            "format": PUBLISHED,
            "version": "1",
            "file": f"published/{path.name}",
            "sha256": file_digest(path),
        },
    )
    return RunResult(report=report, folder=Path(case["name"]))


def _origin(source: str) -> dict[str, Any]:
    return {"key": "measured by", "reference": "Touchstone", "value": source, "allowed": False}


def _case(model: str, system: Entry, variant: str, *, task: str) -> dict[str, Any]:
    known, chip = known_model(model), find_chip(str(system["chip"]))
    parts = [model, system["chip"], system["precision"], f"x{system['devices']}", *([variant] if variant else [])]
    batch = re.search(r"\bbatch (\d+)$", str(system["source"]))
    return {
        "name": PREFIX + "/".join(parts),
        "task": task,
        "model": model,
        "unit": known.unit if known else "samples",
        "framework": None,
        "compiler": None,
        "vendor": chip.vendor if chip else None,
        "chip": _chip(system["chip"]),
        "precision": system["precision"],
        "topology": None,
        "devices": system["devices"],
        "batch_size": int(batch[1]) if batch and serves(task) else None,
        "variant": variant,
        "scale": "reference",
        "data": UNSTATED,
        "load": UNSTATED if serves(task) else None,
        "measure": None,
        "repeats": 1,
        "seed": None,
        "emulated": False,
        "quality_mode": (known.served_mode if serves(task) else known.mode) if known else None,
        "source": str(system["source"]),
    }


def _figures(entries: list[Entry], case: dict[str, Any]) -> dict[str, Figure]:
    """The whole job's figures, as all of ours are; of a throughput per device, times the devices."""
    figures: dict[str, Figure] = {}
    for entry in entries:
        name = str(entry["figure"])
        unit = definition(name, quality_mode=case["quality_mode"]).unit.format(unit=case["unit"])
        value, devices = float(entry["value"]), int(entry["devices"])
        per_second = unit.endswith(_PER_SECOND)
        if entry.get("per") == "device" and per_second:
            value *= devices
        figures[name] = Figure(value=value, unit=unit)
        each = f"{name}_per_device"
        if name.startswith("throughput/") and _is_known(each):
            figures[each] = Figure(value=value / devices, unit=unit)
    return {**figures, "run/publishable": Figure(value=0.0, unit="bool")}


def _is_known(name: str) -> bool:
    try:
        definition(name)
    except KeyError:
        return False
    return True

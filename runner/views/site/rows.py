"""What the leaderboard knows of a result: a row of plain values, written for people, with the numbers to sort by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from runner.comparison.likeness import comparable_key, workload_changes
from runner.comparison.result import PUBLISHED, UNSTATED, known
from runner.comparison.sample import sample_of
from runner.messages import LANGUAGES, Language, speaking, tr, tr_recorded
from runner.record.names import is_accuracy, is_quality, written
from runner.record.report import Figure
from runner.record.task import task_named, trains
from runner.results.index import Summary

Row = dict[str, Any]
FACETS = ("task", "model", "vendor", "chip", "precision", "division", "scale", "origin", "status")
"""What rows can be filtered by, each a key of a row."""
_SYSTEM = ("framework", "compiler", "load", "variant")
_FACTS = (*FACETS, "framework", "compiler", "topology", "devices", "batch_size", "load", "data", "measure", "repeats")
_SPEEDS = ("throughput/steady", "infer/samples_per_second")
"""Of the whole job, in samples."""
_NO_FIGURE = "the report does not have this figure"
_NO_PRICE = "no price of this chip was given"


@dataclass(kw_only=True, slots=True)
class Words:
    """Texts of rows, each kept once and named by its number: thousands of rows have the same ones."""

    known: dict[str, int] = field(default_factory=dict)

    def place(self, text: str) -> int:
        """The number of a text."""
        return self.known.setdefault(text, len(self.known))

    def in_every_language(self, *, recorded: bool = False) -> dict[Language, list[str]]:
        """The texts by their numbers."""
        made = {}
        for language in LANGUAGES:
            with speaking(language):
                made[language] = [tr_recorded(text) if recorded else tr(text) for text in self.known]
        return made


@dataclass(kw_only=True, slots=True)
class Rows:
    """All rows, and the texts that they name by number."""

    rows: list[Row] = field(default_factory=list)
    titles: Words = field(default_factory=Words)
    reasons: Words = field(default_factory=Words)


def rows_of(summaries: Sequence[Summary], prices: Mapping[str, float]) -> Rows:
    """A row for each result.

    Args:
        summaries: results, published figures among them.
        prices: what a device of a chip costs per hour, by the chip's name; of any one currency.
    """
    made = Rows()
    for one in summaries:
        made.rows.append(_row(one, made, prices))
    return made


def _row(one: Summary, made: Rows, prices: Mapping[str, float]) -> Row:
    case = one.case
    speed, like = _main(one), _like(one)
    figures = [_figure(name, figure, one, made) for name, figure in one.figures.items() if _shown(name, figure)]
    row: Row = {key: _text(case.get(key)) for key in ("task", "model", "vendor", "chip", "precision", "scale")}
    origin = "published" if one.imported.get("format") == PUBLISHED else "imported" if one.imported else "measured"
    row |= {
        "id": one.digest[:16],
        "name": one.folder.name,
        "origin": origin,
        "division": None if one.imported else one.division,
        "status": one.status,
        "batch": [case.get("batch_size"), case.get("gradient_accumulation_steps")],
        "trains": trains(case.get("task")),
        "rankable": one.status == "done" and not one.emulated,
        "like": like,
        "group": "|".join([*(value for _, value in like), str(speed), one.figures[speed].unit if speed else ""]),
        "what": " · ".join(str(case[key]) for key in ("task", "scale", "data") if _told(case.get(key))),
        "system": _system(case),
        "devices": _text(case.get("devices")),
        "speed": _cell(speed, one, made, titled=True),
        "mfu": _cell("compute/mfu", one, made),
        "energy": _cell("energy/per_sample_j", one, made),
        "cost": _cost(one, made, prices),
        "quality": _cell(_quality(one), one, made, titled=True),
        "started": one.started_ms,
        "date": None if one.started_ms is None else f"{datetime.fromtimestamp(one.started_ms / 1000, UTC):%Y-%m-%d}",
        "marks": _marks(one, origin),
        "figures": figures,
        "notes": [made.reasons.place(text) for text in _notes(one)],
    }
    row["facts"] = [[key, value] for key in _FACTS if _told(value := _text(row.get(key) or case.get(key)))]
    row["facts"] += [["folder", str(one.folder)], *([["file", one.imported["file"]]] if one.imported else [])]
    row["text"] = " ".join(str(value) for _, value in row["facts"]).lower()
    return row


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _system(case: Mapping[str, Any]) -> str:
    devices = case.get("devices")
    return " · ".join(
        [*([f"x{devices}"] if devices else []), *(str(case[key]) for key in _SYSTEM if _told(case.get(key)))]
    )


def _told(value: Any) -> bool:
    return value not in (None, "", UNSTATED)


def _main(one: Summary) -> str | None:
    """The first of the task's main figures that was measured; null where none was."""
    task = task_named(one.case.get("task"))
    names = task.main_figures(one.case) if task else ()
    measured = [name for name in names if name in one.figures and one.figures[name].value is not None]
    fallback = next((name for name, figure in one.figures.items() if figure.value is not None), None)
    return measured[0] if measured else fallback if one.imported else None


def _quality(one: Summary) -> str | None:
    return next((name for name in one.figures if is_quality(name) or is_accuracy(name)), None)


def _like(one: Summary) -> list[list[str]]:
    """What results must share for a ratio between them to mean something, as names and values."""
    like = [[name, value] for name, value in comparable_key(one)]
    changes = workload_changes(one.changed)
    told = " ".join(f"{key}={value}" for key, (_, value) in sorted(changes.items()))
    return [*like, ["workload", UNSTATED if one.imported else told]]


def _shown(name: str, figure: Figure) -> bool:
    return figure.unit != "bool" or (figure.value is not None and not name.startswith("run/"))


def _cell(name: str | None, one: Summary, made: Rows, *, titled: bool = False) -> Row:
    if name is None or name not in one.figures:
        return {"value": None, "reason": made.reasons.place(_NO_FIGURE), "unit": ""}
    cell = _figure(name, one.figures[name], one, made)
    return cell if titled else {key: value for key, value in cell.items() if key != "title"}


def _figure(name: str, figure: Figure, one: Summary, made: Rows) -> Row:
    definition = known(name, one)
    plain: Row = {"name": name, "title": made.titles.place(definition.title), "unit": figure.unit}
    plain["better"] = definition.better
    plain |= {"same_batch": True} if definition.same_batch else {}
    if figure.value is None:
        return plain | {"value": None, "reason": made.reasons.place((figure.reason or "").partition("\n")[0])}
    form = definition.form
    text, unit = written(figure.value, figure.unit, form)
    plain |= {"measured_in": figure.unit} if unit != figure.unit else {}
    ends = figure.interval or (None, None)
    bounds = [None if end is None else written(end, figure.unit, form, like=figure.value)[0] for end in ends]
    count, deviation = _spread(figure, one)
    return plain | {
        "value": figure.value,
        "text": text,
        "unit": unit,
        "low": ends[0],
        "high": ends[1],
        "range": None if bounds[0] is None else bounds,
        "n": count,
        "deviation": deviation,
    }


def _spread(figure: Figure, one: Summary) -> tuple[int, float | None]:
    """How many fresh processes a figure is of, and their standard deviation; null where it is their highest value."""
    if figure.repeats and figure.interval is None:
        return len(figure.repeats), None
    sample = sample_of(figure, one.case)
    return (1, None) if sample is None else (sample.count, sample.deviation)


def _cost(one: Summary, made: Rows, prices: Mapping[str, float]) -> Row:
    """Of a million samples, from the speed of the whole job and what its devices cost per hour."""
    price = prices.get(str(one.case.get("chip")))
    if price is None:
        return {"value": None, "reason": made.reasons.place(_NO_PRICE), "unit": ""}
    speed = next(
        (one.figures[name] for name in ("throughput/steady", "infer/samples_per_second") if name in one.figures), None
    )
    devices = one.case.get("devices")
    if speed is None or not speed.value or not isinstance(devices, int):
        return {"value": None, "reason": made.reasons.place(_NO_FIGURE), "unit": ""}
    value = 1e6 / speed.value / 3600 * price * devices
    text, _ = written(value, "1")
    return {"value": value, "text": text, "unit": "", "better": "lower", "range": None}


def _marks(one: Summary, origin: str) -> list[dict[str, str]]:
    found = [("emulated", "warn")] if one.emulated else []
    found += [(origin, "dim")] if origin != "measured" else []
    found += [("open", "warn")] if one.division == "open" and not one.imported else []
    found += [("changed", "bad")] if not one.intact else []
    found += [("publishable", "good")] if one.publishable else []
    return [{"name": name, "kind": kind} for name, kind in found]


def _notes(one: Summary) -> list[str]:
    failed = [one.error_message] if one.error_message else []
    return [*failed, *one.warnings]

"""How far something is verified: results in `benchmarks/results`, and runs of configurations on the host CPU.

`benchmarks/results/index.json` lists both and is committed. `python -m runner.support --index [RUN_FOLDER …]` makes it:
it reads the committed results anew, and adds the emulated runs in the folders that it is given to those it knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.config.compose import REFERENCE_VENDOR
from runner.core.errors import ConfigurationError
from runner.core.events import Name, read_events
from runner.results.find import find_runs, load_with_hash

ROOT = Path(__file__).parents[3]
RESULTS = "benchmarks/results"
INDEX = f"{RESULTS}/index.json"
_TOLD = ("vendor", "chip", "model", "scale", "date", "emulated", "status", "task", "compiler", "framework")
PYTORCH = "pytorch"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(kw_only=True, slots=True, frozen=True)
class Measured:
    """One result in a committed file."""

    vendor: str
    chip: str
    model: str | None
    """Null in a file about the engine alone."""
    scale: str | None
    date: str | None
    task: str | None = None
    """Null in a file that does not say."""
    compiler: str | None = None
    framework: str | None = None
    """Null in a file that does not say: of PyTorch, which alone there was then."""


def measured(root: Path = ROOT) -> list[Measured]:
    """Results on real hardware in `benchmarks/results/*.json`; emulated and failed ones are none.

    A result is any object that names its vendor and its chip, itself or through an object around it: whole reports
    (`runner.report --format json`) and the benchmarks of the engine, whose host is the CPU vendor's chip.

    Raises:
        ConfigurationError: a file is not JSON.
    """
    found: list[Measured] = []
    for path in sorted(set((root / RESULTS).glob("*.json")) - {root / INDEX}):
        try:
            content = json.loads(path.read_text())
        except ValueError as error:
            raise ConfigurationError(f"{path} is not JSON: {error}") from error
        found += list(dict.fromkeys(_results(content, {"date": path.stem})))
    return found


def _results(value: Any, around: Mapping[str, Any]) -> Iterator[Measured]:
    if isinstance(value, list):
        for item in value:
            yield from _results(item, around)
    if not isinstance(value, dict):
        return
    here = {**_told(value.get("asked")), **_told(value)}
    told = {**around, **here}
    host = value.get("host")
    if isinstance(host, dict) and told.get("vendor") == REFERENCE_VENDOR:
        told.setdefault("chip", host.get("cpu"))
    real = not told.get("emulated") and told.get("status", "done") == "done"
    if real and told.get("vendor") and told.get("chip") and {"vendor", "chip", "model"} & here.keys():
        date = _DATE.search(told["date"])
        yield Measured(
            vendor=told["vendor"],
            chip=told["chip"],
            model=told.get("model"),
            scale=told.get("scale"),
            date=date.group() if date else None,
            task=told.get("task"),
            compiler=told.get("compiler"),
            framework=told.get("framework"),
        )
    for key, item in value.items():
        if key == "models" and isinstance(item, dict):
            for name, part in item.items():
                yield from _results({"model": name, **part}, told)
        elif key != "published":  # what others measured
            yield from _results(item, told)


def _told(value: Any) -> dict[str, Any]:
    """What an object says itself of the result it is."""
    if not isinstance(value, dict):
        return {}
    return {key: item for key in _TOLD if isinstance(item := value.get(key), str | bool)}


@dataclass(kw_only=True, slots=True, frozen=True)
class EmulatedRun:
    """One run of a vendor's configuration on the host CPU that came to its end."""

    vendor: str
    model: str
    task: str
    precision: str
    compiler: str
    scale: str
    date: str
    """Of its start, UTC."""
    report: str
    """SHA-256 of the report's content, as the report states it."""
    framework: str = PYTORCH

    @property
    def case(self) -> tuple[str, ...]:
        """What was run; of two runs of the same the later one counts."""
        return self.vendor, self.model, self.task, self.precision, self.compiler, self.scale, self.framework


def emulated_runs(places: Iterable[Path]) -> list[EmulatedRun]:
    """The emulated runs in these run folders, and below them; those on hardware and those that failed are left out.

    Raises:
        ConfigurationError: a place holds no run, or one that cannot be read or was changed.
    """
    found = []
    for folder in (run for place in places for run in find_runs(place)):
        parsed = load_with_hash(folder)
        if not parsed.intact:
            raise ConfigurationError(f"{folder} holds a report that was changed after its run.")
        case = parsed.report.case
        if parsed.report.status == "done" and case["emulated"]:
            events, _ = read_events(folder / "events" / "parent.log")
            began = next(event for event in events if event.name == Name.SUBMIT_INFO)
            date = datetime.fromtimestamp(began.time_ms / 1000, UTC).date().isoformat()
            named = {name: str(case[name]) for name in ("vendor", "model", "task", "precision", "compiler", "scale")}
            framework = str(case.get("framework") or PYTORCH)
            found.append(EmulatedRun(**named, date=date, report=parsed.digest, framework=framework))
    return found


@dataclass(kw_only=True, slots=True, frozen=True)
class Index:
    """All that is known of how far choices are verified."""

    measured: tuple[Measured, ...] = ()
    emulated: tuple[EmulatedRun, ...] = ()

    def save(self, root: Path = ROOT) -> None:
        """Write `index.json`, a line for each entry."""
        parts = []
        for kind in ("measured", "emulated"):
            lines = ",\n  ".join(json.dumps(asdict(one)) for one in getattr(self, kind))
            parts.append(f' "{kind}": [\n  {lines}\n ]' if lines else f' "{kind}": []')
        (root / INDEX).write_text("{\n" + ",\n".join(parts) + "\n}\n")


def read_index(root: Path = ROOT) -> Index:
    """The committed index.

    Raises:
        ConfigurationError: it is missing or damaged.
    """
    try:
        content = json.loads((root / INDEX).read_text())
        return Index(
            measured=tuple(Measured(**one) for one in content["measured"]),
            emulated=tuple(EmulatedRun(**one) for one in content["emulated"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{root / INDEX} cannot be read: {error}. Make it: python -m runner.support --index"
        ) from error


def renew_index(places: Sequence[Path], root: Path = ROOT) -> Index:
    """The index of the results as they are, the emulated runs in `places` added to those that are known.

    Raises:
        ConfigurationError: a result, a run or the index that is there cannot be read.
    """
    known = read_index(root).emulated if (root / INDEX).exists() else ()
    runs = sorted([*known, *emulated_runs(places)], key=lambda one: (one.date, one.report))
    latest = {one.case: one for one in runs}
    return Index(
        measured=tuple(
            sorted(set(measured(root)), key=lambda one: tuple(str(value) for value in asdict(one).values()))
        ),
        emulated=tuple(latest[case] for case in sorted(latest)),
    )


def status(results: Iterable[Measured], *, emulated: bool, with_scale: bool) -> str:
    """How far a choice is verified: `measured` with its chips, `emulated`, or `not verified`.

    Args:
        results: those of this choice.
        emulated: whether it was run on the host CPU.
        with_scale: whether to say at which scale it was measured.
    """
    places: dict[str, str] = {}
    for one in results:
        place = f"{one.scale or 'scale not stated,'} on {one.chip}" if with_scale else one.chip
        places[place] = max(places.get(place, ""), one.date or "")
    if places:
        return "measured: " + "; ".join(f"{place}, {date}" if date else place for place, date in sorted(places.items()))
    return "emulated" if emulated else "not verified"

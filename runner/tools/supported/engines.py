"""The table of engines: what each is, in which precisions it serves, on whose chips, and how far that is verified."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from runner.core import packages
from runner.core.registries import ENGINES
from runner.core.tasks import TASKS
from runner.tools.supported.evidence import Index, Measured

ENGINE_HEAD = ("`compiler=`", "What", "Serves in", "`vendor=`", "Status")


def engine_rows(index: Index) -> Iterator[tuple[str, ...]]:
    """A row for each engine of this tree; its YAML's first line says what it is."""
    named = _vendors()
    for name in packages.choices("compiler", outside=False):
        path = packages.leaf("compiler", name)
        assert path is not None, "what is listed is there"
        text = path.read_text()
        what = text.partition("\n")[0].removeprefix("# ").rstrip(".")
        own = tuple((yaml.safe_load(text) or {}).get("vendors", ()))
        vendors = sorted({*own, *named.get(name, ())})
        engine = ENGINES.find(name)
        yield f"`{name}`", what, " ".join(engine.precisions), " ".join(vendors) or "none", _status(name, index)


def _vendors() -> dict[str, list[str]]:
    """Engines to the vendors whose YAML names them."""
    found: dict[str, list[str]] = {}
    for vendor in packages.choices("vendor", outside=False):
        path = packages.leaf("vendor", vendor)
        content = yaml.safe_load(path.read_text()) if path else {}
        for engine in content.get("compilers", ("eager", "inductor")):
            found.setdefault(engine, []).append(vendor)
    return found


def _status(name: str, index: Index) -> str:
    """Where an engine has served a model."""
    serving = {task for task in TASKS.names() if TASKS.find(task).serves}
    served = [one for one in index.measured if one.task in serving and one.compiler == name]
    if not served:
        return "not verified on hardware"
    newest: dict[str, Measured] = {}
    for one in served:
        if one.chip not in newest or (one.date or "") > (newest[one.chip].date or ""):
            newest[one.chip] = one
    return "measured: " + "; ".join(f"{chip}, {one.date}" for chip, one in sorted(newest.items()))

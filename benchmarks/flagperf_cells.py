"""Every cell of FlagPerf's training list, run: its model tiny, in its framework, the host CPU in the vendor's place.

    python -m benchmarks.flagperf_cells [--only bert:paddle:nvidia …] [--limit-s 600]

A cell is `MODEL:FRAMEWORK:VENDOR`, with the names that the command line has. Each is a run of its own, as
`python -m runner` does it. What is refused or fails is a row with its reason. `docs/flagperf_cells.md` shows the rows.
Cells that are not asked for keep the rows of the file that is there.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.engine import ROOT
from benchmarks.record import RESULTS, Record
from hardware.child import environment_of_child, python
from runner.results.find import find_runs, load_with_hash
from runner.tools.supported.cells import FILES
from runner.tools.supported.coverage import ListedCell, cells

PLACE = re.compile(r"/(?:[\w.-]+/)+")
"""A folder in a message: it is this machine's."""


def row_of(cell: ListedCell, limit_s: float) -> dict[str, Any]:
    """What became of one cell."""
    row: dict[str, Any] = {"model": cell.model, "framework": cell.framework, "vendor": cell.vendor}
    row |= {"flagperf": cell.theirs, "scale": "tiny", "emulated": True, "command": " ".join(cell.overrides)}
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.monotonic()
        chosen = [*cell.overrides, "measure=smoke", "tracking=none", f"run.root={folder}", f"run.timeout_s={limit_s:g}"]
        done = subprocess.run(
            python("runner", *chosen),
            cwd=ROOT,
            env=environment_of_child({}),
            capture_output=True,
            text=True,
            check=False,
        )
        row["seconds"] = round(time.monotonic() - began_s, 1)
        row["exit_code"] = done.returncode
        return row | _told(Path(folder), done.stderr)


def _told(folder: Path, output: str) -> dict[str, Any]:
    """The run's report; its class of error and one line of reason where it failed."""
    runs = list(find_runs(folder)) if any(folder.rglob("report.json")) else []
    if not runs:
        return {"status": "failed", "reason": PLACE.sub("…", (output.strip().splitlines() or ["it said nothing"])[-1])}
    read = load_with_hash(runs[0])
    report = read.report
    told: dict[str, Any] = {"status": report.status, "report": read.digest, "precision": report.case["precision"]}
    packages = report.environment.get("packages", {})
    environment = report.environment.get("interpreter")
    told |= {"interpreter": environment and Path(environment).name, "packages": packages}
    if report.error is not None:
        told |= {"class": report.error["class"], "reason": PLACE.sub("…", report.error["message"])[:300]}
    return told


def earlier() -> dict[tuple[str, str, str], dict[str, Any]]:
    """The rows of the newest file, by cell."""
    files = sorted(RESULTS.glob(FILES))
    rows = json.loads(files[-1].read_text())["rows"] if files else []
    return {(row["model"], row["framework"], row["vendor"]): row for row in rows}


def main(argv: list[str] | None = None) -> int:
    """Run the cells and file the rows; returns 0 where every one that was asked for ended as it should."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flagperf_cells", description=__doc__)
    parser.add_argument("--only", metavar="MODEL:FRAMEWORK:VENDOR", nargs="+", help="these cells alone")
    parser.add_argument("--limit-s", type=float, default=600.0, help="seconds of one worker")
    options = parser.parse_args(argv)
    known = {f"{one.model}:{one.framework}:{one.vendor}": one for one in cells()}
    asked = options.only or list(known)
    if unknown := [name for name in asked if name not in known]:
        parser.error(f"FlagPerf does not list {', '.join(unknown)}")
    record = Record("flagperf_cells")
    rows = earlier()
    for name in asked:
        row = row_of(known[name], options.limit_s)
        rows[row["model"], row["framework"], row["vendor"]] = row
        print(name, row["status"], f"{row['seconds']:.0f} s", row.get("reason", ""), flush=True)
        record.file({"rows": [rows[key] for key in map(_key, cells()) if key in rows]})
    return 0 if all(rows[_key(known[name])]["status"] == "done" for name in asked) else 1


def _key(cell: ListedCell) -> tuple[str, str, str]:
    return cell.model, cell.framework, cell.vendor


if __name__ == "__main__":
    sys.exit(main())

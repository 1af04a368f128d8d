"""How long a search of the local MLflow store takes, with the reports of what it finds: at most 2 s at 10,000 runs.

python -m benchmarks.mlflow_store [--runs 1000 10000]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.record import Record, goal
from benchmarks.report import one_of_many
from runner.tracking import local
from runner.tracking.cursor import Cursor
from runner.tracking.found.stored_run import FOLDER_TAG, IDENTITY_TAG, PLACE_TAG, UID_TAG

MOST_S = 2.0
"""For the whole command, its start included."""
TIMES = 3
PARAMS, OTHER_TAGS = 70, 15
"""Of a run, about as many as a training run has."""
MODELS, PRECISIONS, VENDORS = ("bert", "resnet50", "gpt2", "ssd", "conformer"), ("fp32", "bf16"), ("nvidia", "mthreads")
SEARCHES = {
    "none fits": "model=bert and precision=bf16 and throughput/steady < 0",
    "one fits": "throughput/steady = 105",
    "200 fit": "model=bert and throughput/steady < 1100",
    "a tenth fits": "model=bert and precision=bf16",
}
_PROGRAM = """
import sys
from pathlib import Path
from runner.tracking.search import search
print(len(search(sys.argv[2], uri=None, root=Path(sys.argv[1]), limit=1000)))
"""


def make_store(root: Path, count: int) -> None:
    """A store and the run folders it tells of, written as MLflow and the engine would."""
    local.prepare(root / "mlflow.db")
    with closing(sqlite3.connect(root / "mlflow.db")) as store:
        store.execute(
            "insert into experiments (experiment_id, name, lifecycle_stage, artifact_location) "
            "values (1, 'touchstone', 'active', '')"
        )
        for number in range(count):
            _add(store, root, number)
        store.commit()


def _add(store: sqlite3.Connection, root: Path, number: int) -> None:
    report = one_of_many(number)
    uid = f"{number:032x}"
    place = f"day_{number // 100:03}/run_{number:05}"
    chosen = {
        "model": MODELS[number % len(MODELS)],
        "precision": PRECISIONS[number // len(MODELS) % len(PRECISIONS)],
        "vendor": VENDORS[number % len(VENDORS)],
    }
    tags = chosen | {IDENTITY_TAG: uid, UID_TAG: uid, PLACE_TAG: place, FOLDER_TAG: place.rpartition("/")[2]}
    tags |= {f"tag{one}": "value" for one in range(OTHER_TAGS)}
    folder = root / place
    folder.mkdir(parents=True)
    report.case |= chosen
    report.save(folder / "report.json")
    Cursor(run_uid=uid, uri=local.address(root / "mlflow.db"), run_id=uid, finished=True).save(folder)
    store.execute(
        "insert into runs (run_uuid, name, lifecycle_stage, status, experiment_id, start_time, artifact_uri) "
        "values (?, ?, 'active', 'FINISHED', 1, ?, '')",
        (uid, f"run {number}", number),
    )
    store.executemany("insert into tags (key, value, run_uuid) values (?, ?, ?)", [(*one, uid) for one in tags.items()])
    params = [(f"model.train.value{one}", "1", uid) for one in range(PARAMS)]
    store.executemany("insert into params (key, value, run_uuid) values (?, ?, ?)", params)
    metrics = [(name, figure.value, uid) for name, figure in report.figures.items()]
    store.executemany(
        "insert into latest_metrics (key, value, timestamp, step, is_nan, run_uuid) values (?, ?, 0, 0, 0, ?)", metrics
    )


def measure(root: Path, text: str) -> tuple[int, float]:
    """Runs found, and the seconds of a fresh process that finds them: the median of several."""
    found, seconds = 0, []
    for _ in range(TIMES):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(root), text], check=True, capture_output=True, text=True
        )
        seconds.append(time.perf_counter() - began)
        found = int(done.stdout)
    return found, statistics.median(seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure each search at each number of runs and file the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000])
    options = parser.parse_args(argv)
    record = Record("mlflow_store")
    told: dict[str, dict[str, float]] = {}
    for count in options.runs:
        root = Path(tempfile.mkdtemp(prefix="touchstone_store_"))
        try:
            make_store(root, count)
            told[str(count)] = {}
            for name, text in SEARCHES.items():
                found, told[str(count)][name] = measure(root, text)
                print(f"  {count} runs, {name}: {found} found in {told[str(count)][name]:.2f} s")
        finally:
            shutil.rmtree(root)
    slowest = max(told[str(max(options.runs))].values())
    content = {"seconds": told, "goal": goal(MOST_S, "at_most", slowest)}
    print(json.dumps(content["goal"]))
    print(f"Filed in {record.file(content)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Asks the database of a local store, read-only and without MLflow, whose import alone takes seconds.

The tables (`runs`, `tags`, `params`, `latest_metrics`, `experiments`) and these columns of them are in every version of
MLflow since 1.0; a test holds the answers against those of MLflow's own search.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from runner.core.errors import ConfigurationError
from runner.record.names import FIGURES
from runner.tracking.found.condition import Condition
from runner.tracking.found.parse import TAGS, unknown
from runner.tracking.found.stored_run import FOLDER_TAG, IDENTITY_TAG, PLACE_TAG, UID_TAG, StoredRun

BUSY_S = 10.0
"""How long a writer is waited for, in seconds."""
_TABLES = {"tags": "tags", "params": "params", "metrics": "latest_metrics"}
_COLUMNS = {"run_id": "run_uuid", "run_name": "name", "status": "status"} | {
    name: name for name in ("start_time", "end_time")
}
_CHUNK = 500
"""Values in one statement, at most."""


def find_local(path: Path, conditions: Sequence[Condition], *, limit: int) -> list[StoredRun]:
    """The runs of cases that fit, newest first; those in MLflow's trash do not.

    Raises:
        ConfigurationError: there is no database, it cannot be read, or no run has a key that is asked for.
    """
    if not path.is_file():
        raise ConfigurationError(
            f"There is no MLflow store {path}. Runs make it with tracking=mlflow, python -m runner.sync does it "
            "afterwards; another is named with its address."
        )
    try:
        with _reading(path) as store:
            for condition in conditions:
                _require_key(store, condition)
            rows = _matching(store, conditions, limit)
            tags = _tags(store, [run_id for run_id, _, _ in rows])
    except sqlite3.Error as error:
        raise ConfigurationError(f"The MLflow store {path} cannot be read: {error}.") from error
    return [
        StoredRun(
            run_id=run_id,
            name=name or "",
            folder=tags[run_id].get(FOLDER_TAG, ""),
            place=tags[run_id].get(PLACE_TAG),
            uid=tags[run_id].get(UID_TAG, ""),
            fetch=partial(_artifact, artifacts or ""),
        )
        for run_id, name, artifacts in rows
    ]


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=BUSY_S)) as store:
        store.create_function(
            "fits", 2, lambda pattern, text: text is not None and bool(_pattern(pattern).fullmatch(text))
        )
        yield store


@cache
def _pattern(like: str) -> re.Pattern[str]:
    """A LIKE pattern that tells capitals from small letters, as MLflow's does."""
    parts = (".*" if one == "%" else "." if one == "_" else re.escape(one) for one in like)
    return re.compile("".join(parts), re.DOTALL)


def _matching(
    store: sqlite3.Connection, conditions: Sequence[Condition], limit: int
) -> list[tuple[str, str | None, str | None]]:
    clauses = [_clause(condition) for condition in conditions]
    values = [value for _, some in clauses for value in some]
    where = "".join(f" and {clause}" for clause, _ in clauses)
    query = (
        "select r.run_uuid, r.name, r.artifact_uri from runs r join experiments e on e.experiment_id = r.experiment_id "
        "where r.lifecycle_stage = 'active' and e.lifecycle_stage = 'active' "
        "and exists (select 1 from tags t where t.key = ? and t.run_uuid = r.run_uuid)"
        f"{where} order by r.start_time desc, r.run_uuid limit ?"
    )
    return store.execute(query, [IDENTITY_TAG, *values, limit]).fetchall()


def _clause(condition: Condition) -> tuple[str, list[str | float]]:
    """SQL for one condition, with its values."""
    if condition.kind == "attributes":
        return _comparison(f"r.{_COLUMNS[condition.key]}", condition)
    test, values = _comparison("x.value", condition)
    test += " and not x.is_nan" if condition.kind == "metrics" else ""  # a figure that was taken back is kept as 0
    table = _TABLES[condition.kind]
    return f"exists (select 1 from {table} x where x.key = ? and x.run_uuid = r.run_uuid and {test})", [
        condition.key,
        *values,
    ]


def _comparison(column: str, condition: Condition) -> tuple[str, list[str | float]]:
    if condition.operator == "LIKE":
        return f"fits(?, {column})", [condition.value]
    return f"{column} {'like' if condition.operator == 'ILIKE' else condition.operator} ?", [condition.value]


def _require_key(store: sqlite3.Connection, condition: Condition) -> None:
    """A key that no run has is a mistake, unless it is a figure that nothing measured so far.

    Raises:
        ConfigurationError: names the nearest key there is.
    """
    if condition.kind == "attributes":
        if condition.key not in _COLUMNS:
            raise unknown(condition.key, _COLUMNS)
        return
    table = _TABLES[condition.kind]
    if store.execute(f"select 1 from {table} where key = ? limit 1", [condition.key]).fetchone():
        return
    if store.execute("select 1 from runs limit 1").fetchone() is None or _is_ours(condition):
        return
    raise unknown(condition.key, [key for (key,) in store.execute(f"select distinct key from {table}")])


def _is_ours(condition: Condition) -> bool:
    """Whether a key is one that a run can have, though none of this store has it."""
    return condition.key in (FIGURES if condition.kind == "metrics" else TAGS if condition.kind == "tags" else ())


def _tags(store: sqlite3.Connection, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Where each run's folder is."""
    found: dict[str, dict[str, str]] = {run_id: {} for run_id in run_ids}
    keys = (FOLDER_TAG, PLACE_TAG, UID_TAG)
    for start in range(0, len(run_ids), _CHUNK):
        part = run_ids[start : start + _CHUNK]
        marks = ", ".join("?" * len(part))
        query = f"select run_uuid, key, value from tags where key in (?, ?, ?) and run_uuid in ({marks})"
        for run_id, key, value in store.execute(query, [*keys, *part]):
            found[run_id][key] = value
    return found


def _artifact(artifacts: str, _: Path) -> Path:
    """The filed report, where a local store keeps it."""
    parts = urlsplit(artifacts)
    if parts.scheme not in ("file", ""):
        raise FileNotFoundError(f"its files are at {artifacts}, which only MLflow reaches")
    path = Path(unquote(parts.path)) / "report.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there")
    return path

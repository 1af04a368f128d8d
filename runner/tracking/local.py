"""The local store, an SQLite file: its address, and how it is made and brought up to date in one step.

MLflow makes its tables in dozens of migrations that are not one transaction, and takes seconds to minutes. Cut off in
between (a kill, a thread that nobody waits for any more), they leave a file that no MLflow opens again. So they work on
a draft beside the store, which takes the store's place only when it is whole.
"""

from __future__ import annotations

import glob
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

SQLITE = "sqlite:///"
_DRAFT = ".draft"
_NO_QUOTES = "".join(chr(code) for code in range(32, 127) if chr(code) not in "%?")
"""A question mark begins an address's query."""
_PLAIN = re.compile(r"/[A-Za-z0-9/._-]*[A-Za-z0-9_-]")
"""A path that SQLAlchemy, whose import takes a second, need not be asked about."""


class StoreUnusableError(ValueError):
    """The store answers, and nothing can be filed in it; says why and what to do."""


def address(path: Path) -> str:
    """SQLAlchemy's address of a file, whatever characters its path has.

    Only what must be is quoted: MLflow takes the rest of the address for a path as it stands, and how much must be
    differs between versions of SQLAlchemy.
    """
    plain = path.as_posix()
    if _PLAIN.fullmatch(plain):
        return f"{SQLITE}{plain}"
    from sqlalchemy.engine import URL, make_url

    made = URL.create("sqlite", database=plain).render_as_string()
    for text in (f"{SQLITE}{plain}", f"{SQLITE}{quote(plain, safe=_NO_QUOTES)}", made):
        if make_url(text).database == plain:
            return text
    raise StoreUnusableError(f"{path} cannot be written as a database's address. Choose another folder with run.root=.")


def path_of(uri: str) -> Path | None:
    """The absolute path of a local store; None for a server's address.

    Raises:
        StoreUnusableError: the address names no file.
    """
    if not uri.startswith(SQLITE):
        return None
    if _PLAIN.fullmatch(uri.removeprefix(SQLITE)):
        return Path(uri.removeprefix(SQLITE)).resolve()
    from sqlalchemy.engine import make_url

    name = make_url(uri).database
    if name in (None, "", ":memory:"):
        raise StoreUnusableError(f"{uri} names no file. Give tracking.uri=sqlite:///FOLDER/mlflow.db.")
    return Path(str(name)).resolve()


def prepare(path: Path) -> None:
    """Make the store, or bring that of an older MLflow up to date. The caller holds the store's lock.

    Raises:
        StoreUnusableError: it is half made, damaged, of a newer MLflow, or was written to meanwhile.
    """
    for left in path.parent.glob(f"{glob.escape(path.name)}.*{_DRAFT}*"):
        left.unlink(missing_ok=True)  # of a process that was killed
    if not path.exists() or path.stat().st_size == 0:
        with _draft_of(path) as draft:
            open_client(draft)
            draft.replace(path)
        return
    revision, scripts = _revision(path), _scripts()
    if revision in scripts.get_heads():
        return
    if revision is not None and revision not in {one.revision for one in scripts.walk_revisions()}:
        raise StoreUnusableError(f"{path} was made by a newer MLflow than the one installed here. Install that one.")
    _upgrade(path)


def open_client(path: Path) -> Any:
    """An MLflow client of a file; makes the tables where there are none."""
    from mlflow import MlflowClient

    uri = address(path)
    named = Path(uri.removeprefix(SQLITE)).parent
    missing = [folder for folder in (named, *named.parents) if not folder.exists()]
    try:
        return MlflowClient(tracking_uri=uri)
    finally:
        for folder in missing:  # MLflow makes the folder that the address names with its quotes
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """A new name each time: MLflow keeps a connection for every address it has seen."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}{_DRAFT}")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _revision(path: Path) -> str | None:
    """The schema's revision; None where none is noted."""
    try:
        with closing(sqlite3.connect(path)) as store:
            tables = {name for (name,) in store.execute("select name from sqlite_master where type = 'table'")}
            found = store.execute("select version_num from alembic_version") if "alembic_version" in tables else None
            row = found.fetchone() if found else None
    except sqlite3.OperationalError:  # it is locked, or may not be read
        raise
    except sqlite3.DatabaseError as error:
        raise StoreUnusableError(f"{path} is damaged ({error}). {_way_out(path)}") from error
    return str(row[0]) if row else None


def _scripts() -> ScriptDirectory:
    """Alembic's list of MLflow's migrations."""
    import mlflow
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))


def _upgrade(path: Path) -> None:
    """Migrate a copy; write it over the store in one transaction, so that runs that have it open go on with it."""
    with _draft_of(path) as draft, closing(sqlite3.connect(path)) as live:
        with closing(sqlite3.connect(draft)) as copy:
            before = _changes(live)
            live.backup(copy)
        try:
            _migrate(draft)
        except Exception as error:  # migrations of a half-made store fail in any way
            reason = str(error).strip().partition("\n")[0][:200]
            raise StoreUnusableError(
                f"{path} is half made: a process was killed while it made the tables, or is still at it ({reason}). "
                f"{_way_out(path)}"
            ) from error
        if _changes(live) != before:
            raise StoreUnusableError(
                f"{path} is of an older MLflow, and was written to while it was brought up to date. It is as it was; "
                "file the run when no other is going on."
            )
        with closing(sqlite3.connect(draft)) as copy:
            copy.backup(live)


def _changes(store: sqlite3.Connection) -> int:
    """A number that changes when another connection writes."""
    return int(store.execute("pragma data_version").fetchone()[0])


def _migrate(draft: Path) -> None:
    from mlflow.db import upgrade

    callback = upgrade.callback
    assert callback is not None
    callback(address(draft))
    open_client(draft)


def _way_out(path: Path) -> str:
    return (
        f"Move it away (mv {path} {path}.broken), then run python -m runner.sync: it files all runs anew from their "
        "folders."
    )

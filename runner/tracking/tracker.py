"""Files a run while it goes on, in a thread of the parent process. Whatever MLflow does, the run does not notice."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from filelock import Timeout

from runner.config.schema import Tracking
from runner.messages import tr
from runner.record.report import Report
from runner.tracking import local, store
from runner.tracking.cursor import load_cursor
from runner.tracking.describe import git_tags
from runner.tracking.page import links
from runner.tracking.sweep import finish_sweep
from runner.tracking.uploader import CancelledError, Uploader

GRACE_S = 10.0
"""The longest that a store holds up a run, or a sweep, at its end, in seconds."""
IMPORT_GRACE_S = 20.0
"""The longest that importing MLflow does beside that; only when a run ends at once."""
LOCAL_GRACE_S = 60.0
"""The same of a local store once its tables are there: a disk is no server that may never answer."""
MIGRATION_GRACE_S = 900.0
"""The longest that making the tables of a local store, or bringing them up to date, holds up a run."""
PATIENCE_S = 5.0
"""After this the run says what it waits for."""
LIMITS = store.http_limits(timeout_s=4, retries=1)


class Tracker:
    """Sends events every `flush_s` seconds, and the report at the end. Start it once the worker runs."""

    def __init__(
        self,
        run_folder: Path,
        tracking: Tracking,
        *,
        grace_s: float = GRACE_S,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self._folder = run_folder
        self._uri = tracking.uri  # with its credentials, which no file of the run holds
        self._flush_s = tracking.flush_s
        self._is_local = tracking.uri is None or tracking.uri.startswith(local.SQLITE)
        self._grace_s = grace_s
        self._say = say
        self._ready = threading.Event()
        self._ending = threading.Event()
        self._report: Report | None = None
        self._imported = threading.Event()
        self._cancelled = threading.Event()
        self._filed = False
        self._problem: str | None = None
        self._limits = ExitStack()
        # A daemon: a server that never ends its answer must not keep the process from ending either.
        self._thread = threading.Thread(target=self._follow, daemon=True, name="tracker")

    def start(self) -> None:
        """Begin to import MLflow and to send, in the background."""
        self._limits.enter_context(store.environment(LIMITS))
        self._thread.start()

    def finish(self, report: Report, *, hurry: bool = False) -> str | None:
        """File the report; a server that does not answer is left after `grace_s`, a local store gets its time.

        Args:
            report: the run's.
            hurry: whether somebody waits for the process to end: a local store gets no more time than a server.

        Returns:
            A warning that says what was not filed and what to do, or None.
        """
        self._report = report
        self._ending.set()
        if self._is_local and not hurry:
            self._await_local()
        self._imported.wait(IMPORT_GRACE_S)
        grace_s = LOCAL_GRACE_S if self._is_local and not hurry else self._grace_s
        self._thread.join(grace_s)
        late = self._thread.is_alive()
        if late:
            self._cancelled.set()
        self._limits.close()
        if self._filed and not late:
            return None
        return self._warning(f"no answer within {grace_s:g} s" if late else self._problem)

    def where(self) -> list[tuple[str, str]]:
        """Where the filed run can be looked at, each place with its label; empty where nothing was filed."""
        try:
            cursor = load_cursor(self._folder)
        except ValueError:
            return []
        if cursor is None or cursor.uri is None or cursor.run_id is None or cursor.experiment_id is None:
            return []
        if cursor.uri.startswith(local.SQLITE):
            path = local.path_of(cursor.uri)
            assert path is not None
            return [(tr("In MLflow"), f"touchstone ui {shlex.quote(_near(path.parent))}")]
        if not cursor.uri.startswith("http"):
            return [(tr("In MLflow"), cursor.uri)]
        return [
            (tr("In MLflow"), links.run_link(cursor.uri, cursor.experiment_id, cursor.run_id)),
            (tr("All runs"), links.charts_link(cursor.uri, cursor.experiment_id)),
        ]

    def give_up(self) -> str:
        """Stop filing at once; returns the warning that says what to do."""
        self._cancelled.set()
        self._limits.close()
        return self._warning("interrupted")

    def _await_local(self) -> None:
        """Wait for the local store's tables: on a busy machine the first run's may take minutes."""
        if self._ready.wait(PATIENCE_S):
            return
        (self._say or sys.stderr.write)(
            "MLflow: its database is still being made, or brought up to date; the run is filed after that. To file it "
            f"later instead, press Ctrl-C, then: python -m runner.sync {self._folder}\n"
        )
        self._ready.wait(MIGRATION_GRACE_S)

    def _warning(self, problem: str | None) -> str:
        try:
            cursor = load_cursor(self._folder)
        except ValueError:
            cursor = None
        begun = cursor is not None and cursor.run_id is not None
        missing = "its figures, files and last events" if begun else "the run"
        return (
            f"MLflow: {missing} could not be filed ({problem or 'the tracking thread ended unexpectedly'}). "
            f"Nothing is lost; file it with: python -m runner.sync {self._folder}"
        )

    def _follow(self) -> None:
        try:
            try:
                import mlflow  # noqa: F401 -- the seconds this takes are not the store's
            finally:
                self._imported.set()
            with Uploader(self._folder, uri=self._uri, source=git_tags(), cancelled=self._cancelled) as uploader:
                self._is_local = uploader.uri.startswith(local.SQLITE)
                self._attempt(lambda: store.make_ready(uploader.uri), uploader.uri)
                self._ready.set()
                self._attempt(uploader.flush, uploader.uri)
                while not self._ending.wait(self._flush_s):
                    self._attempt(uploader.flush, uploader.uri)
                report = self._report
                assert report is not None
                self._filed = self._attempt(lambda: uploader.finish(report), uploader.uri)
        except Timeout:
            self._problem = "another process is filing this run"
        except CancelledError:
            pass
        except store.failures() as error:
            self._problem = f"{type(error).__name__}: {error}"
        finally:
            self._ready.set()

    def _attempt(self, action: Callable[[], object], uri: str) -> bool:
        """Do it; what fails now is sent with the next attempt, because the cursor has not moved."""
        try:
            action()
        except store.failures() as error:
            self._problem = store.reason(error, uri)
            return False
        return True


def _near(folder: Path) -> str:
    """A folder as it is typed from here."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)


def close_sweep(folder: Path, *, uri: str | None = None, grace_s: float = GRACE_S) -> str | None:
    """Give a sweep's run its status; waits at most `grace_s`.

    Args:
        folder: the sweep's.
        uri: the store's address with its credentials; None: the one its cases name.
        grace_s: seconds.

    Returns:
        A warning that says what was not filed and what to do, or None.
    """
    problems = [f"no answer within {grace_s:g} s"]

    def act() -> None:
        try:
            finish_sweep(folder, uri=uri)
            problems.clear()
        except store.failures() as error:
            unusable = isinstance(error, local.StoreUnusableError)
            problems[:] = [str(error).rstrip(".") if unusable else type(error).__name__]

    with store.environment(LIMITS):
        thread = threading.Thread(target=act, daemon=True, name="tracker-sweep")
        thread.start()
        thread.join(grace_s)
    if not problems:
        return None
    return (
        f"MLflow: the sweep's status could not be filed ({problems[0]}). File it with: python -m runner.sync {folder}"
    )

"""Files one run folder: what is new in it, then the place up to which that is done. Safe to repeat after a crash."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock

from runner.config import schema
from runner.core import events
from runner.record.report import Report, content_hash
from runner.record.run_record import PARENT_LOG
from runner.results.repeats import repeat_folders
from runner.tracking import describe, store, sweep
from runner.tracking.cursor import LOCK, Cursor, load_cursor
from runner.tracking.files import artifacts
from runner.tracking.page.dataset import data_of
from runner.tracking.page.naming import run_name
from runner.tracking.page.note import note
from runner.tracking.page.saved_views import offer
from runner.tracking.points import Point, event_points, figure_points
from runner.tracking.runs import find_or_create, lifecycle, take_back
from runner.tracking.system import system_points

BATCH_METRICS = 1000
BATCH_PARAMS = 100
"""MLflow's limits for one request."""


class CancelledError(RuntimeError):
    """Whoever waits for the upload has stopped waiting."""


class Uploader:
    """A context manager that holds the folder while it files it.

    What has been sent is sent again after a crash between sending and noting it; MLflow keeps a point of the same key,
    step, time and value once. Before a run is created, one with the same `touchstone.run_uid` is looked for.
    """

    def __init__(
        self,
        run_folder: Path,
        *,
        uri: str | None = None,
        source: Mapping[str, str] | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Prepare; touches neither network nor MLflow.

        Args:
            run_folder: holds `run.yaml`, whose `tracking` section says where to file.
            uri: another store than that one.
            source: tags about the source code, when this is the process that runs the case.
            cancelled: when it is set, no further request is begun.
        """
        self.folder = run_folder.resolve()
        self.case = schema.load_case(run_folder)
        self.uri = uri or store.store_uri(self.folder, self.case)
        self._cancelled = cancelled or threading.Event()
        self._source = dict(source or {})
        self._root = Path(self.case.run.root)
        self._place = store.place_below_root(self.folder, self.case.run.root)
        self._lock = FileLock(self.folder / LOCK, timeout=0, thread_local=False)
        self._client: Any = None
        self._cursor = Cursor()

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            filelock.Timeout: another process is filing it.
        """
        self._lock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the folder."""
        self._lock.release()

    def filed(self, report: Report) -> bool:
        """Whether the store holds all of this run, this report included; a run deleted there by hand counts as held."""
        self._open()
        return self._cursor.finished and self._cursor.report_hash == report.to_dict()["hash"]

    def flush(self) -> int:
        """Send the events that are new; the number of points sent."""
        self._open()
        sent = sum(self._flush_part(part) for part in (self.folder, *repeat_folders(self.folder)))
        return sent + (self._flush_system(final=False) if self.case.tracking.system_metrics else 0)

    def _flush_system(self, *, final: bool) -> int:
        """Send what the meters read since the last time."""
        path = self.folder / "power.csv"
        key, before = self._inside(path), self._cursor.offsets.get(self._inside(path), 0)
        new = system_points(path, before, self._cursor.system_sources, final=final)
        self._send(new.points)
        if new.offset != before:
            self._cursor.offsets[key], self._cursor.system_sources = new.offset, new.sources
            self._cursor.save(self.folder)
        return len(new.points)

    def _flush_part(self, part: Path) -> int:
        """Send the new events of the run's own folder, or of a repeat's: their curves are told apart by a prefix."""
        path = part / "events" / "rank0.log"
        key, before = self._inside(path), self._cursor.offsets.get(self._inside(path), 0)
        new, offset = events.read_events(path, before)
        points = event_points(new, prefix="" if part == self.folder else f"{self._inside(part)}/")
        if points and self._cursor.finished:  # a killed run that was resumed
            self._request("update_run", status="RUNNING")
            self._cursor.finished = False
        self._send(points)
        if offset != before:
            self._cursor.offsets[key] = offset
            self._cursor.save(self.folder)
        return len(points)

    def finish(self, report: Report) -> None:
        """Send what is new, then figures, tags and files, and end the run with the report's status."""
        if self.filed(report):
            return
        self.flush()
        if self.case.tracking.system_metrics:
            self._flush_system(final=True)
        self._fix_figures_time(report)
        assert self._cursor.figures_time_ms is not None
        self._send(figure_points(report.figures, time_ms=self._cursor.figures_time_ms))
        tags = describe.report_tags(report, description=note(report, self.case, str(self._root / self._place)))
        if self._cursor.report_hash is not None:
            self._take_back(report, tags)
        self._send_tags(tags)
        self._send_files()
        self._request("set_terminated", status=describe.STATUS[report.status], end_time=self._times_ms()[1])
        self._cursor.finished, self._cursor.report_hash = True, report.to_dict()["hash"]
        self._cursor.save(self.folder)

    def _inside(self, path: Path) -> str:
        """A path as seen from the run folder."""
        return path.relative_to(self.folder).as_posix()

    def _request(self, method: str, **arguments: Any) -> None:
        """One call of the client for this run.

        Raises:
            CancelledError: nobody waits for it any more.
        """
        if self._cancelled.is_set():
            raise CancelledError(str(self.folder))
        getattr(self._client, method)(self._cursor.run_id, **arguments)

    # --- the run -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Find this folder's run, or create it."""
        if self._client is None:
            self._client, self._cursor = self._find()
        self._describe()

    def _find(self) -> tuple[Any, Cursor]:
        client, experiment = store.connect(self.uri, self.case.tracking.experiment)
        shown = store.public_uri(self.uri)
        cursor = load_cursor(self.folder) or Cursor(uri=shown, source=self._source)
        if cursor.uri != shown or (cursor.run_id is not None and lifecycle(client, cursor.run_id) is None):
            cursor = cursor.moved_to(shown)
        if cursor.run_id is None:
            cursor.experiment_id = experiment
            cursor.save(self.folder)
            cursor.parent_run_id = self._sweep_run(client, experiment)
            cursor.run_id = find_or_create(
                client,
                experiment,
                cursor,
                name=self._name(),
                tags=self._tags(cursor),
                start_time_ms=self._times_ms()[0],
            )
            cursor.save(self.folder)
            offer(client, experiment)
        return client, cursor

    def _name(self) -> str:
        """What tells this run apart from others, and first from those of its sweep."""
        told, _ = events.read_events(self.folder / "events" / PARENT_LOG)
        changed: list[dict[str, Any]] = next(
            (one.value["division"]["changed"] for one in told if "division" in one.value), []
        )
        return run_name(self.case, changed=changed, first=sweep.varied_in(self.folder.parent))

    def _tags(self, cursor: Cursor) -> dict[str, str]:
        parent = {describe.PARENT_TAG: cursor.parent_run_id} if cursor.parent_run_id else {}
        return describe.case_tags(self.case, self.folder, place=self._place) | cursor.source | parent

    def _sweep_run(self, client: Any, experiment: str) -> str | None:
        """The sweep's run, when this folder lies in a sweep's."""
        folder = self.folder.parent
        if not sweep.is_sweep(folder):
            return None
        return sweep.open_sweep(client, experiment, folder, uri=self.uri, start_time_ms=self._times_ms()[0])

    def _describe(self) -> None:
        """Send the case's parameters and what its data is, once."""
        from mlflow.entities import Param

        if self._cursor.described:
            return
        entities = [Param(key, value) for key, value in describe.params(self.case).items()]
        for batch in _batches(entities, BATCH_PARAMS):
            self._request("log_batch", params=batch)
        data = data_of(self.case)
        if data is not None:
            self._request("log_inputs", datasets=[data.to_input()])
        self._cursor.described = True
        self._cursor.save(self.folder)

    # --- its content -------------------------------------------------------------------------------------------

    def _send(self, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        for batch in _batches(points, BATCH_METRICS):
            metrics = [Metric(point.key, point.value, point.time_ms, point.step) for point in batch]
            self._request("log_batch", metrics=metrics)

    def _send_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._request("log_batch", tags=[RunTag(key, value) for key, value in tags.items()])

    def _take_back(self, report: Report, tags: Mapping[str, str]) -> None:
        """Take back what an earlier report of this run said."""
        if self._cancelled.is_set():
            raise CancelledError(str(self.folder))
        assert self._cursor.run_id is not None and self._cursor.figures_time_ms is not None
        moment = self._cursor.figures_time_ms
        take_back(self._client, self._cursor.run_id, tags=tags, figures=report.figures, time_ms=moment)

    def _send_files(self) -> None:
        for path, place in artifacts(self.folder):
            self._send_file(path, place)

    def _send_file(self, path: Path, place: str | None) -> None:
        """Send a file of the run folder without the credentials an address in `run.yaml` may hold."""
        named = self.case.tracking.uri
        if path.name != "run.yaml" or named is None or store.public_uri(named) == named:
            self._request("log_artifact", local_path=str(path), artifact_path=place)
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_text(store.redact(path.read_text(), named))
            self._request("log_artifact", local_path=str(copy), artifact_path=place)

    def _fix_figures_time(self, report: Report) -> None:
        """Note which figures are being filed, and as of when, before they are sent.

        A report that only gained a warning, for instance that it could not be filed, has the same figures.
        """
        digest = content_hash(report.to_dict()["figures"])
        if self._cursor.figures_hash == digest:
            return
        path = self.folder / "report.json"
        moment_s = path.stat().st_mtime if path.exists() else time.time()
        self._cursor.figures_hash, self._cursor.figures_time_ms = digest, int(moment_s * 1000)
        self._cursor.save(self.folder)

    def _times_ms(self) -> tuple[int, int]:
        """First and last sign of life, from the events; from `run.yaml` when there are none."""
        written = int((self.folder / "run.yaml").stat().st_mtime * 1000)
        parts = (self.folder, *repeat_folders(self.folder))
        logs = [path for part in parts for path in (part / "events").glob("*.log")]
        times = [event.time_ms for path in logs for event in events.read_events(path)[0]]
        return min(times, default=written), max(times, default=written)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))

"""`load=mlperf`: mlcommons-loadgen asks and judges, as in MLPerf inference.

LoadGen owns arrival, clock and verdict; it reports under `mlperf/` in the run folder. Our own figures come from our own
stamps of the same queries, so that the two can be held against each other. Source: LoadGen's Python bindings
(mlperf_loadgen) and its `test_settings.h`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError, DependencyError
from runner.serving.load.arrival import Arrival
from runner.serving.load.requests import Request

FOLDER = "mlperf"
SUMMARY = "mlperf_log_summary.txt"
LIBRARY_SAMPLES = 1024
"""Indices that LoadGen draws from; each stands for a request's inputs, which are taken in turn."""
PERCENTILE = 0.99
"""Of a server's queries that must keep to the latency limit (LoadGen's default for Server)."""


class Mlperf(Arrival):
    """One query at a time (SingleStream), all at once (Offline), or a Poisson process (Server)."""

    def send(self, count: int, first: int) -> list[Request]:
        """In warm-up: without LoadGen, one request after the other."""
        return [self.system.answer(number) for number in range(first, first + count)]

    def measure(self, count: int, first: int) -> list[Request]:
        """Have LoadGen issue at least so many queries, each one request of ours, and note every one.

        Raises:
            DependencyError: LoadGen is not installed.
            Exception: what answering met.
        """
        loadgen = _loadgen()
        recorder = _Recorder(self, first)
        folder = self.folder / FOLDER
        folder.mkdir(exist_ok=True)
        sut = loadgen.ConstructSUT(recorder.issue, recorder.flush)
        qsl = loadgen.ConstructQSL(LIBRARY_SAMPLES, LIBRARY_SAMPLES, _nothing, _nothing)
        try:
            loadgen.StartTestWithLogSettings(sut, qsl, self._settings(loadgen, count), _logs(loadgen, folder))
        finally:
            recorder.close()
            loadgen.DestroyQSL(qsl)
            loadgen.DestroySUT(sut)
        if recorder.problem is not None:
            raise recorder.problem
        return sorted(recorder.requests, key=lambda request: request.number)

    def own_s(self, seconds: float, requests: Sequence[Request]) -> float | None:
        """Not known: it is LoadGen's."""
        return None

    def request_s(self, mean_s: float) -> float:
        """A server's rate is the load's; the others are as fast as the system."""
        self.mean_s = mean_s
        if self.load.scenario == "Server":
            return max(1 / self._rate(), mean_s)
        return mean_s

    def _rate(self) -> float:
        if self.load.rate is None:
            raise ConfigurationError("load=mlperf load.scenario=Server needs load.rate, the target queries per second.")
        return self.load.rate

    def _settings(self, loadgen: Any, count: int) -> Any:
        """At least `count` queries and nothing else that ends it: our window has been planned in queries already."""
        settings = loadgen.TestSettings()
        settings.scenario = getattr(loadgen.TestScenario, self.load.scenario)
        settings.mode = loadgen.TestMode.PerformanceOnly
        settings.min_query_count, settings.max_query_count = count, count
        settings.min_duration_ms = 0
        settings.qsl_rng_seed = settings.sample_index_rng_seed = settings.schedule_rng_seed = self.seed
        if self.load.scenario == "Offline":  # one query of all samples: their number follows from rate and time
            settings.min_query_count = settings.max_query_count = 1
            settings.offline_expected_qps = 1 / self.mean_s
            settings.min_duration_ms = max(1, round(1e3 * count * self.mean_s))
        elif self.load.scenario == "SingleStream":
            settings.single_stream_expected_latency_ns = max(1, round(1e9 * self.mean_s))
        else:
            settings.server_target_qps = self._rate()
            limit_ms = self.load.slo.latency_ms or 1e3 * 10 * self.mean_s
            settings.server_target_latency_ns = round(1e6 * limit_ms)
            settings.server_target_latency_percentile = PERCENTILE
        return settings


class _Recorder:
    """Answers LoadGen's queries in their order and stamps them by our clock."""

    def __init__(self, arrival: Mlperf, first: int) -> None:
        self._system, self._first = arrival.system, first
        self._single = arrival.load.scenario == "SingleStream"
        self._loadgen = _loadgen()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="system")
        self._lock = threading.Lock()
        self._issued = 0
        self.requests: list[Request] = []
        self.problem: BaseException | None = None

    def issue(self, samples: list[Any]) -> None:
        """Called by LoadGen when queries arrive; a server's next one must not wait for this one's answer."""
        arrived_s = time.monotonic()
        for sample in samples:
            number, self._issued = self._first + self._issued, self._issued + 1
            if self._single:
                self._answer(sample.id, number, arrived_s)
            else:
                self._pool.submit(self._answer, sample.id, number, arrived_s)

    def _answer(self, identity: int, number: int, arrived_s: float) -> None:
        try:
            if self.problem is None:
                request = self._system.answer(number, arrived_s)
                with self._lock:
                    self.requests.append(request)
        except BaseException as error:  # noqa: BLE001 -- it is raised again when LoadGen has ended
            self.problem = error
        # Also of a query that failed: LoadGen would wait for it for ever.
        self._loadgen.QuerySamplesComplete([self._loadgen.QuerySampleResponse(identity, 0, 0)])

    def flush(self) -> None:
        """Called by LoadGen after the last query: nothing is held back here."""

    def close(self) -> None:
        """End the thread that answers."""
        self._pool.shutdown()


def _nothing(indices: list[int]) -> None:
    """Inputs are in memory already."""


def _logs(loadgen: Any, folder: Path) -> Any:
    settings = loadgen.LogSettings()
    settings.log_output.outdir = str(folder)
    settings.log_output.prefix = "mlperf_log_"
    settings.log_output.copy_summary_to_stdout = False
    settings.enable_trace = False
    return settings


def _loadgen() -> Any:
    try:
        import mlperf_loadgen
    except ModuleNotFoundError as error:
        raise DependencyError("load=mlperf needs LoadGen: pip install 'touchstone[mlperf]'.") from error
    return mlperf_loadgen


def read_summary(folder: Path) -> dict[str, str]:
    """LoadGen's own summary of a run folder, as `name: value` lines tell it; empty without one."""
    path = folder / FOLDER / SUMMARY
    if not path.is_file():
        return {}
    pairs = (line.partition(":") for line in path.read_text(errors="replace").splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}

"""Live readings as Prometheus metrics, served by the sampler process.

One gauge per figure with the labels `meter`, `source` and `scope`; energy is a counter. What a meter does not tell is
not there, and a meter that stopped answering takes its last readings with it: a stale power would look like a new one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hardware.sampling.trace_file import LOST, TraceRow

if TYPE_CHECKING:
    from prometheus_client import Metric

ADDRESS = "127.0.0.1"
"""Where it listens unless told otherwise: this machine alone."""
PACKAGE = "prometheus_client"
LABELS = ("meter", "source", "scope")
GAUGES = {
    "power_w": ("touchstone_power_watts", "Electric power", 1.0),
    "temperature_c": ("touchstone_temperature_celsius", "Temperature", 1.0),
    "utilisation": ("touchstone_utilisation_ratio", "Share of time in which the device was busy, 0 to 1", 1.0),
    "memory_used_bytes": ("touchstone_memory_used_bytes", "Memory in use", 1.0),
    "clock_mhz": ("touchstone_clock_hertz", "Clock of the compute units", 1e6),
}
"""Column of the trace to the metric's name, its help, and the factor to its unit."""
COUNTER = ("touchstone_energy_joules", "Energy by the device's own counter, since an arbitrary start")


class Exporter:
    """Keeps the last reading of every source. `observe` is called by the meters' threads, `collect` by the server's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], TraceRow] = {}

    def observe(self, rows: Sequence[TraceRow]) -> None:
        """Take note of rows as they are written to the trace."""
        with self._lock:
            for row in rows:
                if row.source:
                    self._last[row.meter, row.source] = row
                elif row.mark and row.mark.startswith(LOST):
                    self._last = {key: one for key, one in self._last.items() if key[0] != row.meter}

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment, as prometheus_client asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        with self._lock:
            rows = list(self._last.values())
        for column, (name, text, factor) in GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=LABELS)
            for labels, value in _told(rows, column):
                gauge.add_metric(labels, value * factor)
            yield gauge
        counter = CounterMetricFamily(*COUNTER, labels=LABELS)
        for labels, value in _told(rows, "energy_j"):
            counter.add_metric(labels, value)
        yield counter


def _told(rows: Iterable[TraceRow], column: str) -> Iterator[tuple[list[str], float]]:
    for row in rows:
        value = getattr(row, column)
        if value is not None:
            yield [row.meter, str(row.source), str(row.scope)], float(value)


def serve(exporter: Exporter, port: int, *, address: str = ADDRESS) -> Any:
    """Answer scrapes at `http://address:port/metrics`, in a thread of its own.

    Returns:
        The server; `shutdown()` ends it.

    Raises:
        OSError: the port cannot be listened on.
        ImportError: prometheus_client is not installed.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(exporter)
    server, _thread = start_http_server(port, addr=address, registry=registry)
    return server

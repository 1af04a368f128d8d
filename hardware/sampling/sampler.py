"""The process that reads the meters, beside the measured one.

    python -m hardware.sampling.sampler --trace power.csv --meters nvml,rapl,host --address SOCKET --parent-pid PID

Each meter has a thread that sleeps until its next reading is due, so that one that hangs delays no other. Requests come
over a local socket (`hardware.sampling.client`): ("mark", name), ("devices", identities), ("watch", pid), ("stop",).
Answers are ("ok", value) or ("error", text). Imports no torch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import psutil

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.node.host import Host
from hardware.meters.registry import make_meter
from hardware.sampling.client import FOLDER_PREFIX, KEY_VARIABLE, SamplerClient, SamplerProcess, start_sampler
from hardware.sampling.exporter import ADDRESS, Exporter, serve
from hardware.sampling.station import BUDGET, WINDOW_S, Station
from hardware.sampling.trace_file import LOST, SAMPLER, TraceRow, TraceWriter, write_meters

__all__ = ["Sampler", "SamplerClient", "SamplerProcess", "main", "start_sampler"]

WATCH_S = 1.0
"""How often it is looked whether the parent still lives."""
TOLD_S = 10.0
"""How often the meters' costs are written down."""


class Sampler:
    """The meters of one trace and what can be asked of them."""

    def __init__(
        self,
        trace: Path,
        names: Sequence[str],
        *,
        period_s: float,
        window_s: float = WINDOW_S,
        exporter: Exporter | None = None,
    ) -> None:
        self._trace, self._window_s = trace, window_s
        self._writer = TraceWriter(trace, observe=exporter.observe if exporter else None)
        chosen = list(dict.fromkeys(names))
        self._budget = BUDGET / max(1, len(chosen))
        self._stations = [self._station(name, period_s) for name in chosen]
        self._devices: list[DeviceIdentity] = []
        self._started_s = time.monotonic()
        self._told_lock = threading.Lock()
        self.stopping = threading.Event()

    def _station(self, name: str, period_s: float) -> Station:
        try:
            meter = make_meter(name)
        except MeterUnavailableError as error:
            return Station(name, None, self._writer, period_s=period_s, reason=str(error))
        return Station(name, meter, self._writer, period_s=period_s, window_s=self._window_s, budget=self._budget)

    def start(self, devices: Sequence[DeviceIdentity]) -> None:
        """Open every meter that can be, and begin to read."""
        self._devices = list(devices)
        for station in self._stations:
            station.open(self._devices)
        self.tell()
        for station in self._stations:
            if station.meter is not None:
                threading.Thread(target=self._loop, args=(station,), name=station.name, daemon=True).start()

    def _loop(self, station: Station) -> None:
        due_s = time.monotonic() + station.period_s
        while not self.stopping.is_set():
            if station.wake.wait(max(0.0, due_s - time.monotonic())):
                station.wake.clear()
                due_s = station.woken()
            elif not self.stopping.is_set():
                due_s = station.step(due_s)

    def answer(self, request: tuple[Any, ...]) -> tuple[str, Any]:
        """Do what a client asks; an unknown request is an error for the client alone."""
        match request:
            case ("mark", str(name)):
                return "ok", self.mark(name)
            case ("devices", list(identities)):
                try:
                    return "ok", self.set_devices([DeviceIdentity(**one) for one in identities])
                except TypeError as error:
                    return "error", f"no device identity: {error}"
            case ("watch", int(pid)):
                self.watch(pid)
                return "ok", None
            case ("stop",):
                self.stopping.set()
                return "ok", None
        return "error", f"unknown request {request!r}"

    def mark(self, name: str) -> float:
        """Read every meter now, without waiting for the slow ones; returns the monotonic time just before."""
        monotonic_s, unix_s = time.monotonic(), time.time()
        self._writer.write(TraceRow(monotonic_s=monotonic_s, unix_s=unix_s, mark=name, meter=SAMPLER))
        for station in self._stations:
            station.mark(name)
        return monotonic_s

    def set_devices(self, devices: Sequence[DeviceIdentity]) -> dict[str, str | None]:
        """Measure these devices and no others; opens all meters anew where they change. Returns each meter's reason.

        A worker that was started again may be given other devices: those of the first try have no part in it.
        """
        if list(devices) != self._devices:
            self._devices = list(devices)
            for station in self._stations:
                station.open(self._devices)
            self.tell()
        return {station.name: station.reason for station in self._stations}

    def watch(self, pid: int, *, memory: bool = True) -> None:
        """Count the processor time of this process and its descendants, and their memory if asked for."""
        for station in self._stations:
            if isinstance(station.meter, Host):
                station.meter.watch(pid, memory=memory)

    def tell(self) -> None:
        """Write down which meters there are, why others are not, and what all this costs."""
        times = psutil.Process().cpu_times()
        cpu_s = times.user + times.system + times.children_user + times.children_system
        content = {
            "meters": {station.name: station.told() for station in self._stations},
            "sampler": {"cpu_s": cpu_s, "wall_s": time.monotonic() - self._started_s},
        }
        with self._told_lock:
            write_meters(self._trace, content)

    def wait(self, parent_pid: int | None) -> None:
        """Return when asked to stop or when the parent is gone."""
        parent = _process(parent_pid)
        tell_at_s = time.monotonic() + TOLD_S
        while not self.stopping.wait(WATCH_S):
            if parent_pid is not None and not _lives(parent):
                return
            if time.monotonic() >= tell_at_s:
                tell_at_s += TOLD_S
                self.tell()

    def close(self) -> None:
        """Stop reading and finish the files."""
        self.stopping.set()
        for station in self._stations:
            station.wake.set()
        self.tell()
        self._writer.close()

    def note_death(self, args: threading.ExceptHookArgs) -> None:
        """A meter's thread ended by an error nobody foresaw: the trace says so, the others go on."""
        name = args.thread.name if args.thread else "?"
        moment = TraceRow(
            monotonic_s=time.monotonic(),
            unix_s=time.time(),
            mark=f"{LOST}{name}",
            meter=name,
            raw=f"{args.exc_type.__name__}: {args.exc_value}",
        )
        self._writer.write(moment)
        threading.__excepthook__(args)


def _process(pid: int | None) -> psutil.Process | None:
    try:
        return None if pid is None else psutil.Process(pid)
    except psutil.Error:
        return None


def _lives(process: psutil.Process | None) -> bool:
    """Whether the very process is still running; one that ended but was not collected is not."""
    try:
        return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _accept(listener: Listener, sampler: Sampler) -> None:
    """One thread per client, until the process ends."""
    while not sampler.stopping.is_set():
        try:
            connection = listener.accept()
        except (AuthenticationError, EOFError, OSError):
            continue  # a stranger, or a client that died at the door
        threading.Thread(target=_serve, args=(connection, sampler), name="client", daemon=True).start()


def _serve(connection: Connection, sampler: Sampler) -> None:
    with connection:
        while True:
            try:
                connection.send(sampler.answer(connection.recv()))
            except (EOFError, OSError):
                return


def main(arguments: Sequence[str] | None = None) -> int:
    """Read meters until asked to stop, signalled, or left alone."""
    logging.basicConfig(level=logging.WARNING, format="sampler: %(message)s")
    options = _parser().parse_args(arguments)
    devices = [DeviceIdentity(**one) for one in json.loads(options.devices)]
    key = bytes.fromhex(os.environ.pop(KEY_VARIABLE))
    with Listener(options.address, family="AF_UNIX", authkey=key) as listener:
        exporter = _start_exporter(options.prometheus_port, options.prometheus_address)
        sampler = Sampler(
            options.trace,
            options.meters.split(","),
            period_s=options.period,
            window_s=options.window,
            exporter=exporter,
        )
        threading.excepthook = sampler.note_death
        # Set by a thread: the handler may run while the main thread holds the event's own lock.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=sampler.stopping.set).start())
        if options.parent_pid is not None:
            sampler.watch(options.parent_pid, memory=False)
        for pid in options.watch_pid:
            sampler.watch(pid)
        sampler.start(devices)
        threading.Thread(target=_accept, args=(listener, sampler), name="listener", daemon=True).start()
        sampler.wait(options.parent_pid)
        sampler.close()
    folder = Path(options.address).parent
    if folder.name.startswith(FOLDER_PREFIX):
        with contextlib.suppress(OSError):
            folder.rmdir()  # the parent may no longer be there to do it
    return 0


def _start_exporter(port: int | None, address: str) -> Exporter | None:
    """Serve live readings where that was asked for; a server that cannot be started stops no meter."""
    if port is None:
        return None
    exporter = Exporter()
    try:
        serve(exporter, port, address=address)
    except (OSError, ImportError) as error:
        logging.warning("no Prometheus metrics at %s:%d: %s", address, port, error)
        return None
    return exporter


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hardware.sampling.sampler", description="Reads meters into a power trace.")
    parser.add_argument("--trace", type=Path, required=True, help="CSV file to append to")
    parser.add_argument("--meters", required=True, help="names, separated by commas, in the order of preference")
    parser.add_argument("--devices", default="[]", help="JSON list of device identities")
    parser.add_argument("--period", type=float, default=0.1, help="sampling period in seconds")
    parser.add_argument("--window", type=float, default=WINDOW_S, help="seconds of the shortest window to be measured")
    parser.add_argument("--address", required=True, help="path of the socket to listen on")
    parser.add_argument("--prometheus-port", type=int, help="serve live readings as Prometheus metrics there")
    parser.add_argument("--prometheus-address", default=ADDRESS, help="address to serve them on")
    parser.add_argument("--watch-pid", type=int, action="append", default=[], help="process whose tree's memory counts")
    parser.add_argument("--parent-pid", type=int, help="end when this process has ended; its tree is the case's own")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

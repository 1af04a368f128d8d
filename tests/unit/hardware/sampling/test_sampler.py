"""The sampler: its stations under an injected clock, and the process itself with a tool played by a script."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.first import FirstOf
from hardware.sampling.client import socket_folder
from hardware.sampling.sampler import Sampler, SamplerClient, start_sampler
from hardware.sampling.station import RETRY_S, Station
from hardware.sampling.trace import Trace, TraceWriter, read_meters, read_trace
from hardware.sampling.trace_file import SAMPLER

ROOT = Path(__file__).parents[4]
XPU = DeviceIdentity(index=0, uuid=None, pci_bus_id="0000:1a:00.0", name="P800 OAM")
ROW = "00000000:1A:00.0 0 0 SN1 41 0 0 0 100 1450 1450 1450 1450 1450 1450 2 96 64 98304 87 1.0:2.6 P800"


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


class Fake(Meter):
    """Counts 100 W exactly on the clock it is given; `error` makes it fail."""

    name = "fake"
    period_s = 0.1

    def __init__(self, clock, *, takes_s=0.0, counter=True):
        self.clock, self.takes_s, self.counter = clock, takes_s, counter
        self.error = self.open_error = None
        self.opened = []
        self.closed = 0

    def open(self, devices):
        self.opened.append(list(devices))
        if self.open_error:
            raise self.open_error

    def read(self):
        if self.error:
            raise self.error
        energy_j = 100.0 * self.clock() if self.counter else None
        self.clock.now_s += self.takes_s
        return [Reading(source="X", scope="device", power_w=100.0, energy_j=energy_j)]

    def close(self):
        self.closed += 1


@pytest.fixture
def trace(tmp_path):
    return tmp_path / "power.csv"


def make_station(trace, meter, *, period_s=0.1, cpu=lambda: 0.0):
    clock = meter.clock
    return Station("fake", meter, TraceWriter(trace), period_s=period_s, clock=clock, wall=lambda: 1e9, cpu=cpu)


def run_until(station, clock, until_s, due_s):
    """What the station's thread does, without waiting."""
    while due_s <= until_s:
        clock.now_s = max(clock.now_s, due_s)
        due_s = station.step(due_s)
    return due_s


def times(trace):
    return [round(row.monotonic_s, 6) for row in read_trace(trace) if row.source]


def test_a_station_reads_on_the_grid_of_its_period(trace):
    clock = Clock()
    station = make_station(trace, Fake(clock), period_s=0.25)
    station.open([])
    run_until(station, clock, 1.1, 0.25)
    assert times(trace) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_meters_own_period_is_the_shortest(trace):
    clock = Clock()
    meter = Fake(clock)
    meter.period_s = 1.0
    station = make_station(trace, meter, period_s=0.1)
    assert station.period_s == 1.0


def test_a_slow_reading_leaves_out_what_it_missed_and_stays_on_the_grid(trace):
    clock = Clock()
    station = make_station(trace, Fake(clock, takes_s=0.25), period_s=0.1)
    station.open([])
    run_until(station, clock, 1.05, 0.3)
    assert times(trace) == [0.0, 0.3, 0.6, 0.9]


def test_a_dear_meter_is_read_more_seldom(trace):
    clock = Clock()
    spent = Clock()

    def dear():
        spent.now_s += 0.0025  # two calls per reading: 2.5 ms of processor time each
        return spent.now_s

    station = make_station(trace, Fake(clock), period_s=0.1, cpu=dear)
    station.open([])
    assert station.period_s == pytest.approx(0.25)
    assert station.told()["read_cpu_s"] == pytest.approx(0.0025)
    assert station.told()["period_s"] == pytest.approx(0.25)


def test_the_time_of_a_tool_counts_as_the_meters(trace):
    clock = Clock()
    meter = Fake(clock)
    spent_s = 0.0

    def tool():
        nonlocal spent_s
        spent_s += 0.02  # two calls per reading: 20 ms of processor time each
        return spent_s

    meter.processes_cpu_s = tool
    station = make_station(trace, meter, period_s=0.1)
    station.open([])
    assert station.period_s == pytest.approx(1.5)  # 2.0 by the budget, but a twentieth of 30 s at most


@pytest.mark.parametrize(
    ("window_s", "own_s", "least_s", "period_s"),
    [(30.0, 1.0, 0.0, 1.5), (60.0, 1.0, 0.0, 3.0), (600.0, 1.0, 0.0, 5.0), (1.0, 1.0, 0.0, 0.1), (1.0, 1.0, 1.0, 1.0)],
)
def test_no_cost_makes_a_period_longer_than_a_twentieth_of_the_window(trace, window_s, own_s, least_s, period_s):
    spent = Clock()

    def dear():
        spent.now_s += 0.05  # 50 ms of processor time each: 5 s by the budget
        return spent.now_s

    meter = Fake(Clock(), counter=False)
    meter.period_s, meter.least_period_s = own_s, least_s
    if least_s:
        dear = float  # a cheap one: what it reads is not renewed more often
    options = {"clock": meter.clock, "wall": lambda: 1e9, "cpu": dear}
    station = Station("fake", meter, TraceWriter(trace), period_s=0.1, window_s=window_s, **options)
    station.open([])
    assert station.period_s == pytest.approx(period_s)


def test_the_first_of_several_meters_that_can_be_opened_is_read(trace):
    clock = Clock()
    library, tool = Fake(clock), Fake(clock)
    library.name, tool.name, tool.period_s = "library", "tool", 1.0
    library.open_error = MeterUnavailableError("library: not installed")
    station = Station(
        "library|tool", FirstOf([library, tool]), TraceWriter(trace), period_s=0.1, clock=clock, wall=lambda: 1e9
    )
    station.open([XPU])
    assert (station.name, station.period_s, station.told()["opened"]) == ("tool", 1.0, True)
    assert [row.meter for row in read_trace(trace)] == ["tool"]
    library.open_error = None
    station.open([XPU])
    assert (station.name, station.period_s) == ("library", 0.1)
    tool.open_error = library.open_error = MeterUnavailableError("gone")
    station.open([XPU])
    assert station.told()["reason"] == "gone; gone"


def test_a_failure_is_noted_once_and_retried_at_most_every_five_seconds(trace):
    clock = Clock()
    meter = Fake(clock)
    station = make_station(trace, meter, period_s=0.5)
    station.open([XPU])
    meter.error = MeterUnavailableError("fake: fell off the bus")
    due_s = run_until(station, clock, 21.0, 0.5)
    attempts = len(meter.opened)
    assert attempts == 1 + 21 // RETRY_S
    assert [devices for devices in meter.opened if devices != [XPU]] == []
    assert station.told()["reason"] == "fake: fell off the bus"
    meter.error = None
    run_until(station, clock, 27.0, due_s)
    notes = [(row.mark, row.raw) for row in read_trace(trace) if not row.source]
    assert notes == [("lost:fake", "fake: fell off the bus"), ("back:fake", None)]
    assert times(trace) == [0.0, 25.5, 26.0, 26.5, 27.0]
    assert station.told()["reason"] is None


@pytest.mark.parametrize(
    "error", [ValueError("bad"), KeyError("x"), OSError("io"), TypeError("t"), ZeroDivisionError()]
)
def test_a_bug_in_a_meter_is_a_failure_like_any_other(trace, error):
    meter = Fake(Clock())
    station = make_station(trace, meter)
    station.open([])
    meter.error = error
    station.step(0.1)
    (note,) = [row for row in read_trace(trace) if row.mark]
    assert note.mark == "lost:fake"
    assert type(error).__name__ in note.raw


def test_a_meter_that_cannot_be_opened_is_not_read(trace):
    meter = Fake(Clock())
    meter.open_error = MeterUnavailableError("no permission")
    station = make_station(trace, meter)
    station.open([])
    run_until(station, meter.clock, 20.0, 0.1)
    assert read_trace(trace) == []
    assert len(meter.opened) == 1
    told = station.told()
    assert (told["opened"], told["reason"], told["reads"], told["read_cost_s"]) == (False, "no permission", 0, None)
    meter.open_error = None
    station.open([XPU])
    assert station.wake.is_set()
    assert times(trace) == [meter.clock.now_s]


def test_a_mark_reads_counters_and_wakes_other_meters(trace):
    clock = Clock()
    station = make_station(trace, Fake(clock))
    station.open([])
    clock.now_s = 3.25
    station.mark("begin")
    last = read_trace(trace)[-1]
    assert (last.mark, last.monotonic_s, last.energy_j) == ("begin", 3.25, 325.0)
    other = make_station(trace, Fake(clock, counter=False))
    other.open([])
    rows = len(read_trace(trace))
    other.wake.clear()
    other.mark("begin")
    assert len(read_trace(trace)) == rows  # who asked does not wait for a slow tool
    assert other.wake.is_set()
    assert other.woken() == pytest.approx(3.35)  # the grid of its period begins anew at the edge
    last = read_trace(trace)[-1]
    assert (last.mark, last.monotonic_s, last.power_w, last.energy_j) == ("begin", 3.25, 100.0, None)
    other.woken()
    assert len(read_trace(trace)) == rows + 1


def test_marks_give_the_exact_energy_of_a_window(trace):
    clock = Clock()
    station = make_station(trace, Fake(clock), period_s=0.3)
    station.open([])
    due_s = run_until(station, clock, 2.0, 0.3)
    clock.now_s = 2.05
    station.mark("begin")
    due_s = run_until(station, clock, 12.0, due_s)
    clock.now_s = 12.17
    station.mark("end")
    reading = Trace.load(trace).total_energy(2.05, 12.17, "device")
    assert reading.joules == pytest.approx(1012.0, abs=1e-9)
    assert (reading.method, reading.flags) == ("counter", ())
    assert reading.counter_over_integral == pytest.approx(1.0)


def test_requests_are_answered_and_nonsense_is_an_error(trace):
    sampler = Sampler(trace, ["host", "sundial"], period_s=0.1)
    before_s = time.monotonic()
    outcome, moment = sampler.answer(("mark", "begin"))
    assert outcome == "ok"
    assert before_s <= moment <= time.monotonic()
    row = read_trace(trace)[-1]
    assert (row.mark, row.meter, row.monotonic_s) == ("begin", SAMPLER, moment)
    assert sampler.answer(("watch", os.getpid())) == ("ok", None)
    identity = {"index": 0, "uuid": "GPU-a", "pci_bus_id": None, "name": "H200"}
    outcome, reasons = sampler.answer(("devices", [identity]))
    assert outcome == "ok"
    assert reasons["host"] is None
    assert "no meter is called sundial" in reasons["sundial"]
    for nonsense in [("devices", [{"index": 0}]), ("mark", 3), ("fly",), (), "mark"]:
        assert sampler.answer(nonsense)[0] == "error"
    assert not sampler.stopping.is_set()
    assert sampler.answer(("stop",)) == ("ok", None)
    assert sampler.stopping.is_set()
    sampler.close()


def test_only_the_devices_named_last_are_measured(trace):
    """A worker that was started again has other devices: those of the first try are no longer read."""
    sampler = Sampler(trace, ["host"], period_s=0.1)
    (station,) = sampler._stations
    station.meter = Fake(Clock())
    other = DeviceIdentity(index=1, uuid="b", pci_bus_id=None, name="P800")
    sampler.start([])
    sampler.set_devices([XPU])
    sampler.set_devices([XPU])
    sampler.set_devices([XPU, other])
    sampler.set_devices([other])
    sampler.close()
    assert station.meter.opened == [[], [XPU], [XPU, other], [other]]


def test_a_thread_that_dies_unforeseen_is_noted(trace):
    sampler = Sampler(trace, [], period_s=0.1)
    args = threading.ExceptHookArgs([SystemError, SystemError("boom"), None, threading.Thread(name="nvml")])
    sampler.note_death(args)
    row = read_trace(trace)[-1]
    assert (row.mark, row.meter, row.raw) == ("lost:nvml", "nvml", "SystemError: boom")


@pytest.fixture
def fake_xpu_smi(tmp_path, monkeypatch):
    """`xpu_smi` on PATH; returns a function that changes what it does."""
    script = tmp_path / "bin" / "xpu_smi"
    script.parent.mkdir()
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")

    def does(body):
        draft = script.with_suffix(".draft")
        draft.write_text(f"#!/bin/sh\n{body}\n")
        draft.chmod(0o755)
        draft.replace(script)

    does(f'[ "$1" = -m ] || exit 2; echo "{ROW}"')
    return does


@pytest.fixture
def sampler(trace, fake_xpu_smi, tmp_path):
    process = start_sampler(
        trace, ["nvml", "xpu_smi", "rapl", "host"], period_s=0.1, watch_pids=[os.getpid()], log=tmp_path / "sampler.log"
    )
    yield process
    process.stop()


def wait_for(condition, timeout_s=60.0):
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, "nothing happened in time"
        time.sleep(0.02)
    return found


def test_a_whole_run(sampler, trace, tmp_path):
    client = SamplerClient.from_environment(sampler.environment)
    assert client.connected
    assert client.reason is None
    reasons = client.devices([XPU])
    assert reasons["xpu_smi"] is None
    assert reasons["host"] is None
    assert "nvml" in reasons["nvml"]
    before_s = time.monotonic()
    begin_s = client.mark("window_begin")
    assert before_s <= begin_s <= time.monotonic()
    wait_for(lambda: sum("xpu_smi" in line for line in trace.read_text().splitlines()) >= 5)
    end_s = client.mark("window_end")
    assert sampler.stop() == 0
    assert not Path(sampler.address).exists()
    loaded = Trace.load(trace)
    assert loaded.marks == {"window_begin": begin_s, "window_end": end_s}
    reading = loaded.total_energy(begin_s, end_s, "device")
    assert reading.joules == pytest.approx(100.0 * (end_s - begin_s), abs=1e-6)
    assert (reading.method, reading.flags) == ("integral", ("short_window",))
    assert 1.0 <= reading.period_s <= 10.0, "the tool's own, or longer where calling it costs more than its share"
    assert loaded.peak("temperature_c", begin_s, end_s).value == 41.0
    assert loaded.peak("memory_used_bytes", begin_s, end_s).value == 64 << 20
    assert loaded.peak_rss(begin_s, end_s).value > 10 << 20
    told = read_meters(trace)
    assert set(told["meters"]) == {"nvml", "xpu_smi", "rapl", "host"}
    assert told["meters"]["xpu_smi"]["opened"]
    assert told["meters"]["xpu_smi"]["read_cost_s"] > 0
    assert told["sampler"]["cpu_s"] > 0
    assert loaded.reasons["nvml"] == told["meters"]["nvml"]["reason"]
    assert (tmp_path / "sampler.log").read_text() == ""


def test_a_hanging_tool_delays_neither_marks_nor_other_meters(sampler, trace, fake_xpu_smi):
    client = SamplerClient(sampler.address, sampler.key)
    client.devices([XPU])
    fake_xpu_smi("sleep 30")
    time.sleep(1.5)  # the next reading hangs now
    waits = []
    for _ in range(5):
        began_s = time.monotonic()
        client.mark("now")
        waits.append(time.monotonic() - began_s)
    assert min(waits) < 0.5
    hosts = [row for row in read_trace(trace) if row.meter == "host" and row.source == "host"]
    assert wait_for(
        lambda: len([row for row in read_trace(trace) if row.meter == "host" and row.source == "host"]) > len(hosts)
    )
    note = wait_for(lambda: [row for row in read_trace(trace) if row.mark == "lost:xpu_smi"])
    assert "did not answer within 5 s" in note[0].raw


def test_a_killed_sampler_loses_nothing_and_does_not_fail_its_client(sampler, trace):
    client = SamplerClient(sampler.address, sampler.key)
    client.devices([XPU])
    client.mark("begin")
    wait_for(lambda: [row for row in read_trace(trace) if row.meter == "xpu_smi"])
    rows = len(read_trace(trace))
    os.kill(sampler.process.pid, signal.SIGKILL)
    sampler.process.wait(5)
    before_s = time.monotonic()
    assert before_s <= client.mark("end") <= time.monotonic()
    assert not client.connected
    assert "gone" in client.reason
    assert client.mark("again") >= before_s
    assert client.devices([XPU]) == {}
    client.watch(1)
    client.stop()
    client.close()
    assert len(read_trace(trace)) >= rows
    assert Trace.load(trace).marks["begin"] < before_s


def test_a_frozen_sampler_is_given_up(sampler):
    client = SamplerClient(sampler.address, sampler.key)
    client._timeout_s = 0.3
    os.kill(sampler.process.pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        client.mark("begin")
        assert time.monotonic() - began_s < 30
        assert "did not answer within 0.3 s" in client.reason
        late = SamplerClient(sampler.address, sampler.key, timeout_s=0.3)
        assert not late.connected
        assert time.monotonic() - began_s < 60
    finally:
        os.kill(sampler.process.pid, signal.SIGCONT)


def test_a_stranger_is_refused_and_others_are_still_served(sampler):
    assert SamplerClient(sampler.address, sampler.key).connected
    stranger = SamplerClient(sampler.address, "00" * 32)
    assert not stranger.connected
    assert "refused" in stranger.reason
    assert not SamplerClient(sampler.address, "no hexadecimal").connected
    friend = SamplerClient(sampler.address, sampler.key)
    assert friend.mark("x") <= time.monotonic()
    assert friend.connected


def test_a_client_without_a_sampler_is_harmless(tmp_path):
    for client in (
        SamplerClient(None, None),
        SamplerClient.from_environment({}),
        SamplerClient(str(tmp_path / "nobody"), "00", timeout_s=0.1),
    ):
        assert not client.connected
        assert "no sampler" in client.reason
        before_s = time.monotonic()
        assert before_s <= client.mark("begin") <= time.monotonic()


def test_stop_may_be_asked_for(sampler):
    client = SamplerClient(sampler.address, sampler.key)
    client.stop()
    assert sampler.process.wait(5) == 0


def test_it_ends_with_its_parent(trace):
    program = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from hardware.sampling.client import SamplerClient, start_sampler
        sampler = start_sampler(Path({str(trace)!r}), ["host"])
        SamplerClient(sampler.address, sampler.key).mark("begin")
        print(sampler.process.pid, sampler.folder, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        pid, folder = parent.stdout.readline().decode().split()
        pid = int(pid)
        assert psutil.pid_exists(pid)
        parent.kill()
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert "begin" in Trace.load(trace).marks
    assert not Path(folder).exists()


def test_it_imports_neither_torch_nor_lightning():
    program = "import sys, hardware.sampling.sampler; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert not {"torch", "numpy", "pytorch_lightning", "pandas"} & set(loaded.split())


def test_a_socket_needs_no_short_temporary_folder(trace, tmp_path, monkeypatch):
    deep = tmp_path / ("ü" * 60)  # 120 bytes: more than a socket's path may have
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    process = start_sampler(trace, ["host"])
    try:
        client = SamplerClient.from_environment(process.environment)
        assert (client.connected, client.reason) == (True, None)
        assert len(os.fsencode(process.address)) <= 100
    finally:
        process.stop()
    assert process.problem is None
    assert not process.folder.exists()


def test_a_machine_without_a_folder_for_the_socket_says_so(monkeypatch):
    def refuse(prefix, dir):
        raise PermissionError(13, "Permission denied", dir)

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(OSError, match="100 bytes"):
        socket_folder()


def test_a_sampler_that_ended_or_hangs_is_told_when_it_is_stopped(trace):
    killed = start_sampler(trace, ["host"])
    killed.process.kill()
    killed.process.wait()
    killed.stop()
    assert killed.problem == "the sampler had ended before the run did (killed by signal 9)"
    frozen = start_sampler(trace, ["host"])
    client = SamplerClient.from_environment(frozen.environment)
    assert client.connected
    os.kill(frozen.process.pid, signal.SIGSTOP)
    frozen.stop(timeout_s=0.5)
    assert frozen.problem == "the sampler did not answer within 0.5 s when it was to end, and was killed"

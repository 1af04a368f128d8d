"""The host meter against this very machine and processes of known size, and the registry of meters."""

import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from hardware.base import DeviceIdentity
from hardware.meters import registry
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.node.host import Host
from hardware.meters.node.host_io import Moved, disk_bytes, network_bytes
from hardware.meters.registry import make_meter, meter_names, open_meters

MIB = 1 << 20


class Clock:
    now_s = 50.0

    def __call__(self):
        return self.now_s


def test_tells_of_the_machine_in_our_units():
    clock = Clock()
    meter = Host(clock)
    meter.open([])
    clock.now_s += 1
    (machine,) = meter.read()
    assert (machine.source, machine.scope, machine.power_w, machine.energy_j) == ("host", "host", None, None)
    assert 0 <= machine.utilisation <= 1
    assert 0 < machine.memory_used_bytes < psutil.virtual_memory().total


def test_utilisation_over_no_time_is_unknown():
    clock = Clock()
    meter = Host(clock)
    meter.open([])
    clock.now_s += 0.01
    assert meter.read()[0].utilisation is None


def test_counts_the_memory_of_a_process_and_its_children():
    # The parent holds 60 MiB, its child 90 MiB; both write into every page.
    child = "data = bytearray(b'1') * (90 << 20); print(flush=True); input()"
    parent = (
        "import subprocess, sys; data = bytearray(b'1') * (60 << 20);"
        f"subprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
    )
    clock = Clock()
    meter = Host(clock)
    meter.open([])
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        meter.watch(process.pid)
        _, processes = meter.read()
        process.stdin.close()
        process.wait(10)
    assert (processes.source, processes.scope, processes.utilisation) == ("processes", "host", None)
    assert 150 * MIB < processes.memory_used_bytes < 150 * MIB + 60 * MIB
    assert [one.source for one in meter.read()] == ["host"]


WORK = "[(input(), sum(range(10_000_000)), print(flush=True)) for _ in range(2)]"


def in_turn(process):
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.stdout.readline()


def test_processor_time_of_the_processes_is_told_apart_from_the_machines(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    clock = Clock()
    meter = Host(clock)
    meter.open([])
    parent = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {WORK!r}]).wait();"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        in_turn(process)
        meter.watch(process.pid, memory=False)
        clock.now_s += 1
        assert [one.source for one in meter.read()] == ["host"], "what it took before it was watched is not counted"
        root = psutil.Process(process.pid)
        (child,) = root.children()
        before_s = sum(child.cpu_times()[:2])
        in_turn(process)
        process.stdout.readline()  # the child has ended: its time is its parent's now
        clock.now_s += 1
        _, processes = meter.read()
        took_s = sum(root.cpu_times()[2:4]) - before_s
        clock.now_s += 1
        _, idle = meter.read()
        process.stdin.close()
        process.wait(10)
    assert processes.memory_used_bytes is None, "only its processor time was asked for"
    assert processes.utilisation == pytest.approx(took_s / 2, abs=0.03)
    assert processes.utilisation > 0.01 > idle.utilisation
    clock.now_s += 1
    assert [one.source for one in meter.read()] == ["host"]


def test_memory_is_counted_below_the_watched_alone_and_time_of_the_whole_tree(monkeypatch):
    class Fake:
        def __init__(self, pid, parent):
            self.pid, self.parent = pid, parent

        def children(self, recursive):
            return [Fake(2, 1), Fake(3, 2), Fake(4, 1)] if self.pid == 1 else []

        def ppid(self):
            return self.parent

        def memory_info(self):
            return SimpleNamespace(rss=10**self.pid)

        def cpu_times(self):
            return SimpleNamespace(user=seconds, system=0.0, children_user=0.0, children_system=0.0)

    searched = []
    monkeypatch.setattr(psutil, "Process", lambda pid: searched.append(pid) or Fake(pid, 0))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 8)
    clock, seconds = Clock(), 1.0
    meter = Host(clock)
    meter.open([])
    meter.watch(2)
    meter.watch(1, memory=False)
    clock.now_s += 1
    assert meter.read()[1].utilisation is None
    seconds = 1.5
    clock.now_s += 1
    processes = meter.read()[1]
    assert processes.memory_used_bytes == 10**2 + 10**3
    assert processes.utilisation == pytest.approx(4 * 0.5 / 8)
    assert searched == [1], "the second root lies in the first one's tree"
    seconds = 0.5  # one has ended and its parent is none of them
    clock.now_s += 1
    assert meter.read()[1].utilisation is None


def test_descendants_are_looked_up_seldom_and_after_each_watch(monkeypatch):
    clock = Clock()
    meter = Host(clock)
    lookups = []
    monkeypatch.setattr("hardware.meters.node.host._descendants", lambda roots: lookups.append(set(roots)) or {})
    meter.watch(1)
    for seconds in (0, 1, 3, 1):
        clock.now_s += seconds
        meter.read()
    assert lookups == [{1}, {1}]
    meter.watch(2)
    meter.read()
    assert lookups[-1] == {1, 2}


def test_a_process_that_is_gone_is_no_failure():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(10)
    meter = Host()
    meter.open([])
    meter.watch(process.pid)
    assert [one.source for one in meter.read()] == ["host"]


def test_a_machine_that_does_not_answer_is_a_reason(monkeypatch):
    meter = Host()
    meter.open([])

    def fails():
        raise OSError("no /proc")

    monkeypatch.setattr(psutil, "virtual_memory", fails)
    with pytest.raises(MeterUnavailableError, match="no /proc"):
        meter.read()


def moved(**counters):
    """What psutil tells of disks or network cards: name=(received, sent)."""
    return {
        name: SimpleNamespace(read_bytes=one, write_bytes=other, bytes_recv=one, bytes_sent=other)
        for name, (one, other) in counters.items()
    }


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sysfs tells hardware from layers")
def test_each_byte_of_a_disk_is_counted_once(monkeypatch, tmp_path):
    told = moved(
        sda=(1000, 100),
        sda1=(900, 90),
        nvme0n1=(50, 5),
        nvme0c0n1=(50, 5),
        loop0=(7, 0),
        md0=(800, 80),
        **{"dm-0": (700, 70)},
    )
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: told)
    for name in ("sda", "nvme0n1", "nvme0c0n1"):
        (tmp_path / "block" / name / "device").mkdir(parents=True)
    for name in ("loop0", "md0", "dm-0"):
        (tmp_path / "block" / name).mkdir()
    assert disk_bytes(tmp_path) == Moved(received=1050, sent=105)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sysfs tells hardware from layers")
def test_each_byte_of_the_network_is_counted_once(monkeypatch, tmp_path):
    told = moved(lo=(9, 9), eth0=(1000, 100), eth1=(10, 1), bond0=(1010, 101), docker0=(500, 50), veth1=(400, 40))
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: told)
    for name in ("eth0", "eth1"):
        (tmp_path / "class/net" / name / "device").mkdir(parents=True)
    for name in ("lo", "veth1", "bond0", "docker0"):
        (tmp_path / "class/net" / name).mkdir(parents=True)
    assert network_bytes(tmp_path) == Moved(received=1010, sent=101)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sysfs tells hardware from layers")
def test_a_container_counts_its_own_interfaces(monkeypatch, tmp_path):
    told = moved(lo=(9, 9), eth0=(1000, 100), vlan7=(900, 90), br0=(800, 80))
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: told)
    (tmp_path / "class/net/eth0").mkdir(parents=True)
    (tmp_path / "class/net/vlan7/lower_eth0").mkdir(parents=True)
    (tmp_path / "class/net/br0/bridge").mkdir(parents=True)
    assert network_bytes(tmp_path) == Moved(received=1000, sent=100)


@pytest.mark.parametrize(
    "answer", [None, {}, OSError("no /proc/diskstats"), RuntimeError("no disk"), NotImplementedError()]
)
def test_bytes_that_are_not_told_are_null(monkeypatch, tmp_path, answer):
    def tell(**_options):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(psutil, "disk_io_counters", tell)
    monkeypatch.setattr(psutil, "net_io_counters", tell)
    assert disk_bytes(tmp_path) == network_bytes(tmp_path) == Moved(received=None, sent=None)
    meter = Host()
    meter.open([])
    machine = meter.read()[0]
    assert (machine.disk_read_bytes, machine.network_sent_bytes) == (None, None)
    assert machine.memory_used_bytes > 0, "the rest is still told"


def test_written_bytes_are_in_the_machines_counter(monkeypatch, tmp_path):
    told = iter([moved(sda=(10, 100)), moved(sda=(10, 100 + MIB))])
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: next(told))
    monkeypatch.setattr("hardware.meters.node.host_io._is_disk", lambda name, sys_root: True)
    meter = Host()
    meter.open([])
    before, after = meter.read()[0], meter.read()[0]
    assert after.disk_written_bytes - before.disk_written_bytes == MIB
    assert (before.disk_read_bytes, after.disk_read_bytes) == (10, 10)


@pytest.mark.skipif(not os.path.exists("/proc/net/dev"), reason="the kernel's own table")  # noqa: PTH110
def test_this_machines_counters_only_grow():
    first, second = network_bytes(), network_bytes()
    for before, after in zip((*first, *disk_bytes()), (*second, *disk_bytes()), strict=True):
        assert (before is None) == (after is None)
        assert before is None or 0 <= before <= after


def test_every_built_in_meter_bears_its_name():
    for name in registry.BUILT_IN:
        meter = make_meter(name)
        assert isinstance(meter, Meter)
        assert meter.name == name
    assert set(meter_names()) >= set(registry.BUILT_IN)


def test_meters_that_cannot_be_opened_have_a_reason_and_do_not_stop_others(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    device = DeviceIdentity(index=0, uuid=None, pci_bus_id="0000:1a:00.0", name="P800")
    opened, reasons = open_meters(["xpu_smi", "sundial", "host", "host"], [device])
    assert list(opened) == ["host"]
    assert list(reasons) == ["xpu_smi", "sundial"]
    assert "not on PATH" in reasons["xpu_smi"]
    assert "no meter is called sundial" in reasons["sundial"]


class Outside(Meter):
    name = "outside"

    def open(self, devices):
        pass

    def read(self):
        return [Reading(source="node", scope="node", power_w=1.0)]


class Point:
    def __init__(self, name, value, loaded=None):
        self.name, self.value, self.loaded = name, value, loaded

    def load(self):
        if self.loaded is None:
            raise ImportError("gone")
        return self.loaded


def test_meters_of_other_packages_are_found_and_do_not_replace_ours(monkeypatch):
    points = [
        Point("outside", "a:b", Outside),
        Point("host", "a:c", Outside),
        Point("no", "a:d"),
        Point("odd", "a:e", int),
    ]
    monkeypatch.setattr("hardware.registry.brought", lambda group: points if group == "touchstone.meters" else [])
    opened, reasons = open_meters(["outside", "host", "no", "odd"], [])
    assert isinstance(opened["outside"], Outside)
    assert isinstance(opened["host"], Host)
    assert "a:d cannot be imported" in reasons["no"]
    assert "is not a subclass of hardware.meters.base.Meter" in reasons["odd"]

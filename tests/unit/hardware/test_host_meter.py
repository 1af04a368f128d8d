"""The host meter against this very machine and processes of known size, and the registry of meters."""

import subprocess
import sys

import psutil
import pytest

from hardware.base import DeviceIdentity
from hardware.meters import registry
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.host import Host
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


def test_descendants_are_looked_up_seldom_and_after_each_watch(monkeypatch):
    clock = Clock()
    meter = Host(clock)
    lookups = []
    monkeypatch.setattr("hardware.meters.host._descendants", lambda roots: lookups.append(set(roots)) or [])
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
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "touchstone.meters" else [])
    opened, reasons = open_meters(["outside", "host", "no", "odd"], [])
    assert isinstance(opened["outside"], Outside)
    assert isinstance(opened["host"], Host)
    assert "a:d cannot be imported" in reasons["no"]
    assert "is not a Meter" in reasons["odd"]

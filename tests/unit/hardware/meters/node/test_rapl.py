"""RAPL counters in a powercap tree of our own making."""

import pytest

from hardware.energy.energy import measure
from hardware.meters.base import MeterUnavailableError
from hardware.meters.node.rapl import Rapl

RANGE_UJ = 262_143_328_850


def zone(root, folder, name, energy_uj, range_uj=RANGE_UJ):
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")
    if range_uj is not None:
        (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return path / "energy_uj"


@pytest.fixture
def root(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", "dram", 1_500_000, 65_712_999_613)
    zone(tmp_path, "intel-rapl:0:1", "core", 3_000_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 7_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 99_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 88_000_000)
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


def opened(root):
    meter = Rapl(root)
    meter.open([])
    return meter


def test_packages_and_their_memory_are_read_and_nothing_that_contains_them(root):
    readings = {reading.source: reading for reading in opened(root).read()}
    assert {source: (one.scope, one.energy_j) for source, one in readings.items()} == {
        "package-0": ("package", 5.0),
        "package-0-dram": ("dram", 1.5),
        "package-1": ("package", 7.0),
    }
    assert readings["package-0"].energy_wrap_j == pytest.approx(262_143.32885)
    assert readings["package-0-dram"].energy_wrap_j == pytest.approx(65_712.999613)
    assert readings["package-0"].power_w is None


def test_the_memory_of_the_whole_platform_is_left_out(root):
    zone(root, "intel-rapl:2:0", "dram", 1)
    assert sorted(reading.source for reading in opened(root).read()) == ["package-0", "package-0-dram", "package-1"]


def test_a_wrap_between_two_readings_gives_the_true_joules(root):
    counter = root / "intel-rapl:1/energy_uj"
    meter = opened(root)
    samples = []
    for second, joules in enumerate((262_000.0, 262_100.0, 56.67115, 156.67115)):
        counter.write_text(f"{round(joules * 1e6)}\n")
        reading = next(one for one in meter.read() if one.source == "package-1")
        samples.append((float(second), reading.power_w, reading.energy_j))
    result = measure(samples, start_s=0, end_s=3, scope="package", energy_wrap_j=reading.energy_wrap_j)
    assert result.joules == pytest.approx(300.0, abs=1e-6)
    assert result.method == "counter"


@pytest.mark.parametrize("range_text", [None, 0])
def test_an_unknown_range_is_null(tmp_path, range_text):
    zone(tmp_path, "intel-rapl:0", "package-0", 1, range_text)
    assert opened(tmp_path).read()[0].energy_wrap_j is None


def test_without_a_tree_or_a_package_there_is_a_reason(tmp_path):
    with pytest.raises(MeterUnavailableError, match="no intel-rapl package"):
        opened(tmp_path / "absent")
    zone(tmp_path, "intel-rapl:0", "psys", 1)
    with pytest.raises(MeterUnavailableError, match="no intel-rapl package"):
        opened(tmp_path)


def test_no_permission_is_a_reason(root, monkeypatch):
    # Tests may run as root, whom file modes do not stop.
    from pathlib import Path

    read_text = Path.read_text

    def guarded(path, *arguments, **options):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", guarded)
    with pytest.raises(MeterUnavailableError, match=r"no permission to read .*energy_uj; run as root"):
        opened(root)


@pytest.mark.parametrize("content", ["", "garbage"])
def test_a_counter_that_is_no_number_is_a_reason(root, content):
    (root / "intel-rapl:0/energy_uj").write_text(content)
    with pytest.raises(MeterUnavailableError, match="energy_uj"):
        opened(root)


def test_a_zone_that_disappears_becomes_null_and_all_of_them_a_failure(root):
    meter = opened(root)
    (root / "intel-rapl:1/energy_uj").unlink()
    readings = {reading.source: reading for reading in meter.read()}
    assert (readings["package-1"].energy_j, readings["package-0"].energy_j) == (None, 5.0)
    assert "energy_uj" in readings["package-1"].raw
    for path in root.glob("*/energy_uj"):
        path.unlink()
    with pytest.raises(MeterUnavailableError, match="energy_uj"):
        meter.read()


def test_a_closed_meter_does_not_answer(root):
    meter = opened(root)
    meter.close()
    with pytest.raises(MeterUnavailableError, match="not open"):
        meter.read()

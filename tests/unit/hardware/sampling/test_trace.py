"""The trace on disk and what it says about a window, on traces whose figures are known exactly."""

import csv
import json
from dataclasses import replace

import pytest

from hardware.energy.plausible import Floor
from hardware.meters.base import Reading
from hardware.sampling.trace import COLUMNS, Observed, Trace, TraceRow, TraceWriter, meters_path, read_trace
from hardware.sampling.trace_file import SAMPLER, row_of, write_meters


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "power.csv"


def row(time_s, *, meter="nvml", source="GPU-a", scope="device", **values):
    return TraceRow(monotonic_s=time_s, unix_s=1.7e9 + time_s, meter=meter, source=source, scope=scope, **values)


def write(path, *rows):
    writer = TraceWriter(path)
    writer.write(*rows)
    writer.close()


def both(watts_a, watts_b, *, until_s=10.0, period_s=0.5):
    """Two GPUs of constant power."""
    times = [i * period_s for i in range(round(until_s / period_s) + 1)]
    return [row(t, source=name, power_w=w) for t in times for name, w in (("GPU-a", watts_a), ("GPU-b", watts_b))]


def test_columns_are_the_promised_ones(path):
    write(path)
    assert next(csv.reader(path.open())) == list(COLUMNS)
    assert ",".join(COLUMNS) == (
        "monotonic_s,unix_s,mark,meter,source,scope,power_w,energy_j,energy_wrap_j,"
        "temperature_c,utilisation,memory_used_bytes,clock_mhz,throttle,board,shared_by,"
        "disk_read_bytes,disk_written_bytes,network_sent_bytes,network_received_bytes,raw"
    )


def test_rows_come_back_as_they_were(path):
    rows = [
        row(0.1 + 0.2, power_w=301.123456789, energy_j=1e9 + 0.001, energy_wrap_j=262143.32885, temperature_c=61.0),
        row(2.0, mark="begin", utilisation=0.87, memory_used_bytes=7 << 30, clock_mhz=1410.0, throttle="A+B"),
        row(3.0, throttle="", raw='1A:00.0 "P800, OAM" N/A'),
        TraceRow(monotonic_s=4.0, unix_s=5.0, mark="begin", meter=SAMPLER),
    ]
    write(path, *rows)
    assert read_trace(path) == rows


def test_a_text_with_line_breaks_stays_one_line(path):
    write(path, row(1.0, raw="first\n  second\r\nthird"))
    assert read_trace(path)[0].raw == "first second third"
    assert len(path.read_text().splitlines()) == 2


def test_a_row_is_on_disk_before_the_file_is_closed(path):
    writer = TraceWriter(path)
    writer.write(row(1.0, power_w=5.0))
    assert read_trace(path) == [row(1.0, power_w=5.0)]
    writer.close()
    writer.write(row(2.0))
    assert len(read_trace(path)) == 1


def test_a_last_line_cut_anywhere_is_left_out(path):
    write(path, row(1.0, power_w=5.0), row(2.0, power_w=12345.678, raw="text"))
    text = path.read_text()
    last = text.splitlines()[-1]
    for length in range(len(last) + 1):
        path.write_text(text[: len(text) - len(last) - 1 + length])
        assert read_trace(path) == [row(1.0, power_w=5.0)]
    path.write_text(text)
    assert len(read_trace(path)) == 2


def test_a_second_sampler_goes_on_after_a_cut_line(path):
    write(path, row(1.0, power_w=5.0), row(2.0, power_w=6.0))
    path.write_text(path.read_text()[:-40])
    write(path, row(3.0, power_w=7.0))
    assert read_trace(path) == [row(1.0, power_w=5.0), row(3.0, power_w=7.0)]


def test_an_absent_trace_is_empty_and_another_file_is_refused(path):
    assert read_trace(path) == []
    path.parent.mkdir()
    path.write_text("time,watts\n1,2\n")
    with pytest.raises(ValueError, match=r"no power trace of this version: its columns are time,watts"):
        read_trace(path)
    path.write_text("monotonic_s,unix")  # killed while it wrote the header
    assert read_trace(path) == []


def test_a_reading_becomes_a_row():
    reading = Reading(source="GPU-a", scope="device", power_w=3.0, throttle="")
    assert row_of(reading, monotonic_s=1.0, unix_s=2.0, meter="nvml", mark="m") == TraceRow(
        monotonic_s=1.0, unix_s=2.0, mark="m", meter="nvml", source="GPU-a", scope="device", power_w=3.0, throttle=""
    )


def test_energy_is_added_over_devices_and_told_by_source(path):
    write(path, *both(100.0, 250.0))
    trace = Trace.load(path)
    assert {name: one.joules for name, one in trace.energies(0, 10, "device").items()} == {"GPU-a": 1000, "GPU-b": 2500}
    total = trace.total_energy(0, 10, "device")
    assert (total.joules, total.mean_w, total.peak_w, total.method) == (3500.0, 350.0, 350.0, "integral")
    assert total.flags == ()
    assert trace.total_energy(2.25, 7.75, "device").joules == pytest.approx(350 * 5.5)


def test_a_large_counter_keeps_all_its_digits(path):
    write(path, *[row(float(t), energy_j=3_000_000_000.125 + 0.001 * t) for t in range(11)])
    assert Trace.load(path).total_energy(0, 10, "device").joules == pytest.approx(0.01, abs=1e-5)


def test_every_scope_is_summed_for_itself(path):
    node = [row(float(t), meter="ipmi", source="node", scope="node", power_w=900.0) for t in range(11)]
    packages = [
        row(
            float(t),
            meter="rapl",
            source="package-0",
            scope="package",
            energy_j=(990 + 10.0 * t) % 1000,
            energy_wrap_j=1000.0,
        )
        for t in range(11)
    ]
    write(path, *both(100.0, 250.0), *node, *packages)
    trace = Trace.load(path)
    found = {scope: trace.total_energy(0, 10, scope) for scope in ("device", "node", "package")}
    assert {scope: reading.joules for scope, reading in found.items()} == {
        "device": 3500.0,
        "node": 9000.0,
        "package": pytest.approx(100.0),
    }
    assert found["package"].method == "counter"


def test_two_meters_of_one_scope_are_not_added(path):
    other = [row(t * 0.5, meter="smi", source="card-0", power_w=90.0) for t in range(21)]
    write(path, *other, *both(100.0, 250.0))
    write_meters(path, {"meters": {"nvml": {"opened": True, "period_s": 0.5}, "smi": {"period_s": 0.5}}})
    assert Trace.load(path).total_energy(0, 10, "device").joules == 3500.0
    write_meters(path, {"meters": {"smi": {"period_s": 0.5}, "nvml": {"opened": True, "period_s": 0.5}}})
    assert Trace.load(path).total_energy(0, 10, "device").joules == 900.0


def test_the_next_meter_stands_in_for_one_that_lost_a_device(path):
    nvml = [one for one in both(100.0, 250.0) if one.source == "GPU-a" or one.monotonic_s < 1]
    write(path, *nvml, *[row(t * 0.5, meter="smi", source="card-0", power_w=90.0) for t in range(21)])
    assert Trace.load(path).total_energy(0, 10, "device").joules == 900.0


def test_a_lost_device_makes_the_sum_unknown_and_says_why(path):
    lost = TraceRow(monotonic_s=1.0, unix_s=1.0, mark="lost:nvml", meter="nvml", raw="nvml: GPU is lost")
    write(path, *[one for one in both(100.0, 250.0) if one.source == "GPU-a" or one.monotonic_s < 1], lost)
    total = Trace.load(path).total_energy(0, 10, "device")
    assert (total.joules, total.method) == (None, "none")
    assert total.reason.startswith("GPU-b: ")
    assert "nvml: GPU is lost" in total.reason


def test_rows_that_were_not_understood_are_null_with_their_text(path):
    write(path, *[row(float(t), meter="xpu_smi", source="1a:00.0", raw="not understood: N/A") for t in range(11)])
    trace = Trace.load(path)
    assert trace.total_energy(0, 10, "device").joules is None
    assert "not understood: N/A" in trace.total_energy(0, 10, "device").reason
    assert "not understood: N/A" in trace.peak("temperature_c", 0, 10).reason


def test_the_peak_is_that_of_the_sum_at_one_moment(path):
    write(
        path,
        *(row(float(t), source="GPU-a", power_w=300.0 if t < 5 else 100.0) for t in range(11)),
        *(row(float(t), source="GPU-b", power_w=100.0 if t < 5 else 200.0) for t in range(11)),
    )
    assert Trace.load(path).total_energy(0, 10, "device").peak_w == 400.0


def test_a_period_stretched_by_a_dear_meter_is_not_a_gap(path):
    write(path, *[row(float(t), power_w=50.0) for t in range(0, 31, 3)])
    write_meters(path, {"meters": {"nvml": {"period_s": 1.0}}})
    reading = Trace.load(path).total_energy(0, 30, "device")
    assert (reading.period_s, reading.coverage, reading.flags) == (1.0, 1.0, ())


def test_figures_beside_energy(path):
    write(
        path,
        row(1.0, temperature_c=99.0, memory_used_bytes=99),
        row(2.0, temperature_c=50.0, utilisation=0.2, memory_used_bytes=10, throttle="SwPowerCap"),
        row(3.0, temperature_c=60.0, utilisation=0.5, memory_used_bytes=30, throttle=""),
        row(4.0, temperature_c=55.0, utilisation=0.8, memory_used_bytes=20, throttle=""),
        row(2.0, source="GPU-b", temperature_c=70.0, utilisation=0.9, memory_used_bytes=20, throttle="A+SwPowerCap"),
        row(3.0, source="GPU-b", temperature_c=60.0, utilisation=0.9, memory_used_bytes=20, throttle=""),
        row(4.0, source="GPU-b", temperature_c=60.0, utilisation=0.9, memory_used_bytes=20, throttle=""),
        row(5.0, temperature_c=98.0, throttle="late"),
    )
    trace = Trace.load(path)
    assert trace.peak("temperature_c", 2, 4) == Observed(value=70.0)
    assert trace.peak("memory_used_bytes", 2, 4) == Observed(value=30.0)
    assert trace.peak("memory_used_bytes", 2, 4).n_samples == 3
    # Over 2 s: 0.2 and 0.5 for a second each; 0.8 begins when the window ends.
    assert trace.mean_utilisation(2, 4).value == pytest.approx(((0.2 + 0.5) / 2 + 0.9) / 2)
    assert trace.throttle_reasons(2, 3) == ("A", "SwPowerCap")
    assert trace.throttle_reasons(3.5, 4) == ()
    assert trace.mean_utilisation(4.5, 5).value is None
    assert "was read 0 times in the window" in trace.mean_utilisation(4.5, 5).reason


def test_a_short_window_between_slow_readings_is_not_blamed_on_the_meter(path):
    """Power comes every 0.1 s, the other figures once a second."""
    fast = [row(0.1 * i, power_w=100.0) for i in range(31)]
    write(path, *fast, *[row(float(t), temperature_c=50.0, utilisation=0.5, throttle="") for t in range(4)])
    trace = Trace.load(path)
    for observed in (trace.peak("temperature_c", 1.05, 1.95), trace.mean_utilisation(1.05, 1.95)):
        assert observed.reason == "the meter was read 0 times in the window, where a figure needs 3"
    assert trace.throttling_unread([(1.05, 1.95)]) == trace.throttling_untold([(1.05, 1.95)]) == ("GPU-a",)
    assert trace.throttling_unread([(0.5, 1.5)]) == ()


def test_a_figure_needs_three_readings(path):
    write(path, *[row(t, temperature_c=50.0, utilisation=0.9, memory_used_bytes=7) for t in (0.0, 15.0)])
    trace = Trace.load(path)
    for observed in (
        trace.peak("memory_used_bytes", 0, 30),
        trace.peak("temperature_c", 0, 30),
        trace.mean_utilisation(0, 30),
    ):
        assert (observed.value, observed.n_samples) == (None, 2)
        assert "read 2 times in the window, where a figure needs 3" in observed.reason


def test_rest_and_chosen_clocks_are_no_throttling(path):
    harmless = "GpuIdle+ApplicationsClocksSetting+DisplayClockSetting"
    write(
        path,
        row(1.0, throttle=harmless),
        row(2.0, throttle=f"HwSlowdown+{harmless}"),
        row(3.0, throttle="UserDefinedClocks"),
    )
    trace = Trace.load(path)
    assert trace.throttle_reasons(0, 1.5) == ()
    assert trace.throttle_reasons(0, 3) == ("HwSlowdown",)


@pytest.mark.parametrize("watts", [1.0, 3.0])
def test_a_working_device_draws_more_than_a_few_watts(path, watts):
    busy = [row(float(t), power_w=watts, utilisation=0.97) for t in range(31)]
    write(path, *busy)
    reading = Trace.load(path).total_energy(0, 30, "device")
    assert (reading.joules, reading.mean_w, reading.peak_w) == (None, None, None)
    assert f"{watts:g} W at a utilisation of 97%" in reading.reason


def test_the_least_power_is_that_of_the_chip(path):
    # 5 % of 1,000 W while it works, 1 % while it waits.
    write(
        path, *[row(float(t), power_w=40.0 if t < 31 else 12.0, utilisation=0.97 if t < 31 else 0.0) for t in range(62)]
    )
    assert Trace.load(path).total_energy(0, 30, "device").joules == pytest.approx(1200.0)
    trace = Trace.load(path, floor=Floor.of(1000.0))
    assert "40 W at a utilisation of 97%" in trace.total_energy(0, 30, "device").reason
    assert trace.total_energy(35, 60, "device").joules == pytest.approx(25 * 12.0)
    assert Trace.load(path, floor=Floor.of(500.0)).total_energy(0, 30, "device").joules == pytest.approx(1200.0)


def test_a_counter_is_held_to_what_a_working_device_draws(path):
    rows = [row(float(t), energy_j=1e6 + 2.0 * t, utilisation=0.97) for t in range(31)]
    write(path, *rows)
    reading = Trace.load(path).total_energy(0, 30, "device")
    assert (reading.joules, reading.method) == (None, "none")
    assert "2 W at a utilisation of 97%" in reading.reason


@pytest.mark.parametrize("counter", [True, False])
def test_a_power_that_nothing_can_draw_is_no_reading(path, counter):
    """300 W told in milliwatts: 300 kW, while the counter moves by 300 J a second."""
    write(
        path,
        *[row(float(t), power_w=3e5, energy_j=300.0 * t if counter else None, utilisation=1.0) for t in range(31)],
    )
    reading = Trace.load(path).total_energy(0, 30, "device")
    if counter:
        assert (reading.joules, reading.method, reading.peak_w) == (9000.0, "counter", None)
    else:
        assert (reading.joules, reading.mean_w, reading.peak_w) == (None, None, None)
        assert "300,000 W is more than a device can draw" in reading.reason


def test_what_a_meter_costs_is_told(path):
    write(path)
    dear = {"period_s": 1.5, "read_cpu_s": 0.3, "budget": 0.005}
    cheap = {"period_s": 0.1, "read_cpu_s": 0.0001, "budget": 0.005}
    write_meters(path, {"meters": {"npu_smi": dear, "host": cheap, "old": {"period_s": 1.0, "read_cpu_s": 5.0}}})
    costs = {"npu_smi": (1.5, pytest.approx(0.2)), "host": (0.1, pytest.approx(0.001)), "old": (1.0, 5.0)}
    assert Trace.load(path).costs == costs


def test_resident_memory_is_that_of_the_watched_processes(path):
    host = [
        row(float(t), meter="host", source=name, scope="host", memory_used_bytes=size)
        for t, name, size in [(1, "host", 900), (1, "processes", 5), (2, "processes", 7), (9, "processes", 5000)]
    ]
    write(path, *host)
    trace = Trace.load(path)
    assert trace.peak_rss(0, 5) == Observed(value=7.0)
    assert trace.peak_rss(3, 5).reason == "the processes' memory was not read in this time"
    assert trace.peak("memory_used_bytes", 0, 10, "host").n_samples == 1


def test_an_absent_trace_gives_nulls_with_the_meters_reasons(path):
    path.parent.mkdir()
    meters_path(path).write_text(
        json.dumps({"meters": {"nvml": {"opened": False, "reason": "nvml: no driver"}, "x": {"reason": "broken"}}})
    )
    trace = Trace.load(path)
    reading = trace.total_energy(0, 10, "device")
    assert (reading.joules, reading.seconds) == (None, 10)
    assert reading.reason == "no meter read the device; nvml: no driver; x: broken"
    assert trace.peak("temperature_c", 0, 1).reason == reading.reason
    assert trace.peak_rss(0, 1).value is None
    assert trace.throttle_reasons(0, 1) == ()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"meters": {}}'])
def test_a_damaged_file_beside_the_trace_does_no_harm(path, text):
    write(path, *both(100.0, 250.0))
    meters_path(path).write_text(text)
    assert Trace.load(path).total_energy(0, 10, "device").joules == 3500.0


def test_marks_are_moments_by_name(path):
    write(
        path,
        TraceRow(monotonic_s=1.5, unix_s=0.0, mark="begin", meter=SAMPLER),
        row(1.6, mark="begin", energy_j=5.0),
        TraceRow(monotonic_s=9.5, unix_s=0.0, mark="end", meter=SAMPLER),
    )
    assert Trace.load(path).marks == {"begin": 1.5, "end": 9.5}


def test_rows_of_another_boot_are_void(path):
    # The wall clock goes on; the monotonic one began anew.
    before = [replace(row(t * 0.5 + 500, power_w=999.0), unix_s=1.6e9 + t) for t in range(5)]
    old_mark = TraceRow(monotonic_s=502.0, unix_s=1.6e9, mark="old", meter=SAMPLER)
    write(path, *before, old_mark, *both(100.0, 250.0))
    trace = Trace.load(path)
    assert {one.source for one in trace.series} == {"GPU-a", "GPU-b"}
    assert trace.marks == {}
    assert trace.total_energy(0, 10, "device").joules == 3500.0


def test_a_slow_meters_late_row_is_no_reboot(path):
    late = row(3.0, meter="smi", source="card-0", scope="board", power_w=5.0)
    write(path, *both(100.0, 250.0), late)
    assert Trace.load(path).total_energy(0, 10, "device").joules == 3500.0


def shared_board(*, members=("chip-a", "chip-b"), shared_by=2, watts=350.0):
    """Chips without a power sensor of their own, on one board that has one."""
    chips = [row(t * 0.5, meter="smi", source=name, board="board-7") for t in range(21) for name in members]
    board = [
        row(t * 0.5, meter="smi", source="board-7", scope="board", power_w=watts, shared_by=shared_by)
        for t in range(21)
    ]
    return [*chips, *board]


def test_a_boards_energy_stands_for_all_its_devices_together(path):
    write(path, *shared_board(), *[row(t * 0.5, meter="smi", source="chip-c", power_w=100.0) for t in range(21)])
    reading = Trace.load(path).device_energy(0, 10)
    assert reading.joules == pytest.approx(4500.0)
    assert (reading.scope, reading.method, reading.peak_w) == ("board", "integral", 450.0)


def test_half_a_boards_energy_is_nobodys(path):
    write(path, *shared_board(members=("chip-a",)))
    reading = Trace.load(path).device_energy(0, 10)
    assert reading.joules is None
    assert reading.reason == "2 devices share the power sensor of board-7, 1 of them took part"


def test_a_board_whose_sensor_was_not_read(path):
    write(path, *[one for one in shared_board() if one.scope == "device"])
    assert "was not read" in Trace.load(path).device_energy(0, 10).reason


def test_devices_with_sensors_of_their_own_need_no_board(path):
    write(path, *both(100.0, 200.0))
    reading = Trace.load(path).device_energy(0, 10)
    assert (reading.joules, reading.scope) == (pytest.approx(3000.0), "device")

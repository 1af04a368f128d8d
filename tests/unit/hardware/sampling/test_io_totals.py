"""Bytes that disks and network moved in a window, from traces whose figures are known exactly, and older traces."""

import csv

import pytest

from hardware.energy.counters import EDGE_GAP_S, Counter
from hardware.meters.base import Reading
from hardware.sampling.trace import IO_COUNTERS, Trace, TraceRow, TraceWriter, read_trace
from hardware.sampling.trace_file import COLUMNS, read_from, row_of, write_meters

FIRST_VERSION = (
    "monotonic_s,unix_s,mark,meter,source,scope,power_w,energy_j,energy_wrap_j,"
    "temperature_c,utilisation,memory_used_bytes,clock_mhz,throttle,raw"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "power.csv"


def counter(*readings):
    made = Counter()
    for time_s, value in readings:
        made.add(time_s, value)
    return made


def host(time_s, read=None, written=None, sent=None, received=None, **values):
    return TraceRow(
        monotonic_s=time_s,
        unix_s=1.7e9 + time_s,
        meter="host",
        source="host",
        scope="host",
        disk_read_bytes=read,
        disk_written_bytes=written,
        network_sent_bytes=sent,
        network_received_bytes=received,
        **values,
    )


def write(path, *rows):
    writer = TraceWriter(path)
    writer.write(*rows)
    writer.close()


def test_a_window_between_readings_is_their_difference():
    steady = counter(*[(float(second), 1000 * second) for second in range(11)])
    assert steady.increase(2.0, 7.0) == (5000.0, None)
    assert steady.increase(2.25, 7.75) == (pytest.approx(5500.0), None)
    assert steady.increase(0.0, 10.0) == (10000.0, None)
    assert steady.increase(3.2, 3.6) == (pytest.approx(400.0), None)


def test_counters_beyond_a_petabyte_keep_every_byte():
    large = counter((0.0, 2**52), (1.0, 2**52 + 3))
    assert large.increase(0.0, 1.0) == (3.0, None)


def test_what_was_not_read_on_both_sides_is_unknown():
    some = counter((1.0, 0), (2.0, 10))
    for start_s, end_s in ((0.5, 1.5), (1.5, 2.5), (3.0, 4.0)):
        value, reason = some.increase(start_s, end_s)
        assert value is None and "both sides" in reason
    assert counter().increase(0.0, 1.0)[0] is None
    with pytest.raises(ValueError, match="ends after its start"):
        some.increase(1.5, 1.5)


def test_a_counter_that_goes_back_is_unknown_in_windows_that_hold_it():
    back = counter((0.0, 100), (1.0, 200), (2.0, 50), (3.0, 60))
    value, reason = back.increase(0.5, 2.5)
    assert value is None and "went back" in reason
    assert back.increase(2.0, 3.0) == (10.0, None)
    assert back.increase(0.0, 1.0) == (100.0, None)
    assert back.increase(1.2, 1.4)[0] is None


def test_an_edge_in_a_long_gap_is_unknown_but_a_gap_inside_is_not():
    gap = counter((0.0, 0), (1.0, 10), (1.0 + 2 * EDGE_GAP_S, 1000), (2.0 + 2 * EDGE_GAP_S, 1010))
    assert gap.increase(0.5, 1.5 + 2 * EDGE_GAP_S) == (pytest.approx(1000.0), None)
    value, reason = gap.increase(0.5, 10.0)
    assert value is None and "at an edge" in reason
    assert gap.increase(10.0, 1.5 + 2 * EDGE_GAP_S)[0] is None
    assert gap.increase(1.0, 1.0 + 2 * EDGE_GAP_S) == (990.0, None)


def test_totals_of_a_trace(path):
    write(path, *[host(float(t), read=100 * t, written=7, sent=t * t, received=None) for t in range(11)])
    totals = Trace.load(path).io_totals(2.0, 8.0)
    assert list(totals) == list(IO_COUNTERS)
    assert totals["disk_read_bytes"].value == 600
    assert totals["disk_written_bytes"].value == 0, "0 bytes are a measurement here"
    assert totals["network_sent_bytes"].value == 60
    assert totals["network_received_bytes"].value is None
    assert "does not tell network_received_bytes" in totals["network_received_bytes"].reason


def test_why_there_are_none(path):
    write(path, TraceRow(monotonic_s=1.0, unix_s=1.0, meter="nvml", source="GPU-a", scope="device", power_w=5.0))
    write_meters(path, {"meters": {"host": {"reason": "host: no /proc"}}})
    totals = Trace.load(path).io_totals(0.0, 1.0)
    assert {one.reason for one in totals.values()} == {"host: no /proc"}
    assert {one.value for one in totals.values()} == {None}


def test_a_reboot_in_between_begins_the_counters_anew(path):
    before = [host(500.0 + t, read=10**9 + t) for t in range(3)]
    after = [host(float(t), read=100 * t) for t in range(5)]
    for row in after:
        row.unix_s += 3600
    write(path, *before, *after)
    assert Trace.load(path).io_totals(1.0, 3.0)["disk_read_bytes"].value == 200


def test_a_reading_becomes_a_row_with_whole_numbers(path):
    reading = Reading(source="host", scope="host", disk_read_bytes=2**53 - 1, network_sent_bytes=0)
    write(path, row_of(reading, monotonic_s=1.0, unix_s=2.0, meter="host"))
    (row,) = read_trace(path)
    assert (row.disk_read_bytes, row.network_sent_bytes, row.disk_written_bytes) == (2**53 - 1, 0, None)


def test_an_older_trace_without_these_columns_is_read(path):
    path.parent.mkdir()
    path.write_text(f"{FIRST_VERSION}\n1.0,2.0,,nvml,GPU-a,device,301.5,,,61.0,,,,A+B,some text\n")
    (row,) = read_trace(path)
    assert (row.power_w, row.throttle, row.raw) == (301.5, "A+B", "some text")
    assert (row.disk_read_bytes, row.board) == (None, None)
    ((same, place),) = read_from(path, 0)
    assert same == row and place == path.stat().st_size
    assert Trace.load(path).io_totals(0.0, 1.0)["disk_read_bytes"].value is None


def test_a_resumed_run_goes_on_in_the_columns_of_its_trace(path):
    path.parent.mkdir()
    path.write_text(f"{FIRST_VERSION}\n1.0,2.0,,nvml,GPU-a,device,301.5,,,,,,,,\n")
    write(path, host(2.0, read=7, raw="kept"), TraceRow(monotonic_s=3.0, unix_s=4.0, mark="end", meter="sampler"))
    rows = read_trace(path)
    assert [row.monotonic_s for row in rows] == [1.0, 2.0, 3.0]
    assert (rows[1].raw, rows[1].disk_read_bytes) == ("kept", None)
    assert {len(line) for line in csv.reader(path.open())} == {len(FIRST_VERSION.split(","))}


@pytest.mark.parametrize("columns", [[*COLUMNS, "noise_db"], COLUMNS[1:], [*COLUMNS, "raw"], ["power_w"]])
def test_columns_that_no_version_had_are_refused(path, columns):
    path.parent.mkdir()
    path.write_text(",".join(columns) + "\n")
    with pytest.raises(ValueError, match="no power trace of this version"):
        read_trace(path)
    with pytest.raises(ValueError, match="no power trace of this version"):
        list(read_from(path, 0))

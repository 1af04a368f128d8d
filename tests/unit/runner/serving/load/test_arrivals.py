"""Loads: which requests arrive when, and from where their latency counts."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from pathlib import Path

import pytest

from runner.core.load import Load
from runner.serving.load.arrival import ARRIVALS, Arrival
from runner.serving.load.mlperf import read_summary
from runner.serving.load.requests import Request, append_requests, read_requests
from runner.serving.load.system import System


class Sleepy(System):
    """Takes `seconds` for an answer, one at a time or several at once; notes how many it answers at once."""

    samples = 3

    def __init__(self, seconds: float, *, fails_at: int | None = None) -> None:
        self.seconds, self.fails_at = seconds, fails_at
        self.running = self.most = 0
        self._lock = threading.Lock()

    def answer(self, number: int, arrived_s: float | None = None) -> Request:
        begun_s = time.monotonic()
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        if number == self.fails_at:
            raise RuntimeError(f"request {number} failed")
        time.sleep(self.seconds)
        with self._lock:
            self.running -= 1
        due_s = begun_s if arrived_s is None else arrived_s
        return Request(number=number, arrived_s=due_s, begun_s=begun_s, ended_s=time.monotonic(), samples=self.samples)


def arrival(folder: Path, system: System, name: str, **options: object) -> Arrival:
    load = Load(name=name, **options)  # type: ignore[arg-type]
    made: Arrival = ARRIVALS.find(name)(load, system, seed=7, folder=folder)
    return made


def test_every_choice_has_its_class() -> None:
    choices = sorted(path.stem for path in (Path(__file__).parents[5] / "conf" / "load").glob("*.yaml"))
    assert ARRIVALS.names(outside=False) == choices
    assert [ARRIVALS.find(name).__name__.lower() for name in choices] == [name.replace("_", "") for name in choices]


@pytest.mark.parametrize("name", ["offline", "single_stream"])
def test_one_after_the_other(tmp_path: Path, name: str) -> None:
    system = Sleepy(0.002)
    began_s = time.monotonic()
    load = arrival(tmp_path, system, name)
    requests = load.send(10, first=5)
    seconds = time.monotonic() - began_s
    assert [one.number for one in requests] == list(range(5, 15)) and system.most == 1
    assert all(before.ended_s <= after.begun_s for before, after in itertools.pairwise(requests))
    own_s = load.own_s(seconds, requests)
    assert own_s is not None and own_s == pytest.approx(seconds - sum(one.latency_s for one in requests))


def test_clients_ask_all_at_once_and_each_number_once(tmp_path: Path) -> None:
    system = Sleepy(0.005)
    load = arrival(tmp_path, system, "clients", clients=4)
    requests = load.send(21, first=0)
    assert [one.number for one in requests] == list(range(21)) and system.most == 4
    assert load.own_s(1.0, requests) is None


def test_a_client_that_fails_ends_the_others(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="request 3 failed"):
        arrival(tmp_path, Sleepy(0.001, fails_at=3), "clients", clients=2).send(10_000, first=0)


def test_a_server_is_asked_at_its_rate_whether_or_not_it_has_answered(tmp_path: Path) -> None:
    fast, slow = (arrival(tmp_path, Sleepy(seconds), "server", rate=200.0) for seconds in (0.0005, 0.01))
    requests, queued = fast.send(100, first=0), slow.send(100, first=0)
    for found in (requests, queued):
        gaps = [after.arrived_s - before.arrived_s for before, after in itertools.pairwise(found)]
        assert statistics.fmean(gaps) == pytest.approx(1 / 200, rel=0.35)
        assert statistics.stdev(gaps) > 0.5 * statistics.fmean(gaps), "they do not come evenly"
    offsets = [[one.arrived_s - found[0].arrived_s for one in found] for found in (requests, queued)]
    assert offsets[0] == pytest.approx(offsets[1]), "the same seed gives the same arrivals"
    # 100 answers of 10 ms to requests that came within half a second: the last one has waited for half a second more.
    assert queued[-1].latency_s > 0.3 > statistics.median(one.latency_s for one in requests)
    assert slow.request_s(0.01) == 0.01 and fast.request_s(0.0005) == 1 / 200


def test_a_server_that_fails_is_not_asked_any_longer(tmp_path: Path) -> None:
    began_s = time.monotonic()
    with pytest.raises(RuntimeError, match="request 1 failed"):
        arrival(tmp_path, Sleepy(0.001, fails_at=1), "server", rate=50.0).send(1000, first=0)
    assert time.monotonic() - began_s < 5


def test_requests_are_read_back_as_they_were(tmp_path: Path) -> None:
    one = Request(number=3, arrived_s=1.25, begun_s=1.5, ended_s=2.75, samples=8, tokens=12, first_token_s=1.75)
    two = Request(number=4, arrived_s=2.0, begun_s=2.5, ended_s=3.0, samples=8)
    append_requests(tmp_path, 0, [one])
    append_requests(tmp_path, 1, [two])
    assert read_requests(tmp_path) == [one, two] and one.latency_s == 1.5
    with (tmp_path / "requests.csv").open("a") as file:
        file.write("5,1,1.0,2.")
    assert read_requests(tmp_path) == [one, two], "a row that was cut off is none"
    assert read_requests(tmp_path / "elsewhere") == []


def loadgen_ms(folder: Path, name: str) -> float:
    return float(read_summary(folder)[name]) / 1e6


def test_our_latencies_are_those_of_loadgen(tmp_path: Path) -> None:
    pytest.importorskip("mlperf_loadgen")
    load = arrival(tmp_path, Sleepy(0.004), "mlperf", scenario="SingleStream")
    load.request_s(0.004)
    requests = load.measure(150, first=0)
    assert len(requests) == 150 == len({one.number for one in requests})
    ours = 1e3 * statistics.fmean(one.latency_s for one in requests)
    assert ours == pytest.approx(loadgen_ms(tmp_path, "Mean latency (ns)"), rel=0.05)
    median = 1e3 * statistics.median(one.latency_s for one in requests)
    assert median == pytest.approx(loadgen_ms(tmp_path, "50.00 percentile latency (ns)"), rel=0.05)


def test_a_block_of_warm_up_has_all_clients_ask_at_once(tmp_path: Path) -> None:
    """Five requests, as the measures average, would never let eight clients meet."""
    system = Sleepy(0.01)
    clients = arrival(tmp_path, system, "clients", clients=8)
    requests = clients.send(clients.block_of(5), 0)
    assert system.most == 8 and len(requests) == 4 * 8
    assert arrival(tmp_path, system, "clients", clients=1).block_of(5) == 5
    assert arrival(tmp_path, system, "offline").block_of(5) == 5


def test_a_server_of_loadgen_waits_as_ours_says(tmp_path: Path) -> None:
    pytest.importorskip("mlperf_loadgen")
    load = arrival(tmp_path, Sleepy(0.004), "mlperf", scenario="Server", rate=150.0, slo={"latency_ms": 100.0})
    load.request_s(0.004)
    requests = load.measure(150, first=0)
    ours = 1e3 * statistics.fmean(one.latency_s for one in requests)
    # LoadGen counts from when a query was due, and we from when Python hears of it: on a busy host that is later.
    theirs = loadgen_ms(tmp_path, "Mean latency (ns)")
    assert ours < 1.05 * theirs
    assert ours > 4.5, "some had to wait"


def test_loadgen_is_offline_as_fast_as_we_are(tmp_path: Path) -> None:
    pytest.importorskip("mlperf_loadgen")
    load = arrival(tmp_path, Sleepy(0.004), "mlperf", scenario="Offline")
    load.request_s(0.004)
    requests = load.measure(100, first=0)
    assert len(requests) >= 100
    span_s = max(one.ended_s for one in requests) - min(one.arrived_s for one in requests)
    assert float(read_summary(tmp_path)["Samples per second"]) == pytest.approx(len(requests) / span_s, rel=0.05)

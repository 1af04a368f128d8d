"""What `runner.peaks` times, verifies, files and hands to reports: on manual clocks and small tensors."""

from __future__ import annotations

import json
import time
from collections import namedtuple
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from case_samples import make_case
from report_folders import A100, NVIDIA, PEAK, Folder
from report_folders import case as report_case
from toy import ManualClock, ManualDevice

from hardware.base import DeviceIdentity, PrecisionUnsupportedError
from runner.core.errors import ConfigurationError, HardwareError, WorkerCrashedError
from runner.measure.ranks import Ranks, UnmeasurableError
from runner.peaks import collectives, copies, memory, products, worker
from runner.peaks import measure as timing
from runner.peaks.__main__ import main
from runner.peaks.launch import Launched
from runner.peaks.measure import Bench, Work, measure
from runner.peaks.plan import Plan, load_plan, make_plan
from runner.peaks.result import content
from runner.peaks.sizes import ATTEMPTS, Best, sweep
from runner.peaks.table import page
from runner.record.peaks import measured_peaks as file
from runner.record.peaks import peak_figures as figures
from runner.record.report import Report
from runner.views.page import to_text


class Stopwatch:
    """A bench whose time passes only where a test says so."""

    def __init__(self, *, seconds: float = 1.0, on_host: bool = True) -> None:
        self.clock = ManualClock()
        self.device = ManualDevice(self.clock)
        self.marks: list[str] = []
        self.bench = Bench(
            device=self.device,
            torch_device=torch.device("cpu"),
            ranks=Ranks(),
            seconds=seconds,
            mark=self._mark,
            on_host=on_host,
            clock=self.clock,
        )

    def _mark(self, name: str) -> float:
        self.marks.append(name)
        return self.clock()

    def work(self, seconds: float, amount: float = 10.0, **changes: Any) -> Work:
        return Work(call=lambda: self.clock.advance(seconds), amount=amount, **changes)


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def bench() -> Bench:
    """The real processor, for as short as it goes."""
    device = ManualDevice(ManualClock())
    cpu = torch.device("cpu")
    return Bench(device=device, torch_device=cpu, ranks=Ranks(), seconds=0.01, mark=lambda _: time.monotonic())


def test_a_figure_is_its_amount_over_the_time_between_edges(watch: Stopwatch) -> None:
    timed = measure(watch.work(0.01), watch.bench)
    assert timed.calls == 10 and sum(timed.seconds) >= 1.0 and len(timed.seconds) >= timing.FEWEST_BLOCKS
    peak = timed.peak("GB/s", scale=2.0, conditions={"size": 4})
    assert peak.value == pytest.approx(10 / 0.01 / 2)
    assert peak.spread is not None and peak.spread.relative == pytest.approx(0, abs=1e-9)
    assert peak.conditions["size"] == 4 and peak.conditions["timed_s"] == pytest.approx(sum(timed.seconds))
    assert peak.window_s is not None and peak.window_s[1] - peak.window_s[0] == pytest.approx(sum(timed.seconds))
    assert watch.marks == ["begin", "end"]


def test_one_disturbed_block_moves_the_spread_but_not_the_figure(watch: Stopwatch) -> None:
    calls = iter(range(10**6))
    slow = Work(call=lambda: watch.clock.advance(1.0 if next(calls) == 6 else 0.1), amount=10.0)
    timed = measure(slow, watch.bench)
    peak = timed.peak("GB/s", scale=1.0, conditions={})
    assert peak.value == pytest.approx(100) and peak.spread is not None
    assert (peak.spread.lowest, peak.spread.highest) == (pytest.approx(20 / 1.1), pytest.approx(100))
    assert peak.spread.relative == pytest.approx(1 - 0.2 / 1.1)


def test_warm_up_is_not_in_the_figure(watch: Stopwatch) -> None:
    calls = iter(range(10**6))
    cold = Work(call=lambda: watch.clock.advance(5.0 if next(calls) == 0 else 0.05), amount=1.0)
    peak = measure(cold, watch.bench).peak("GB/s", scale=1.0, conditions={})
    assert peak.spread is not None and peak.spread.lowest == pytest.approx(20) == peak.value


def test_a_slow_call_still_gets_several_blocks(watch: Stopwatch) -> None:
    timed = measure(watch.work(3.0), watch.bench)
    assert timed.calls == 1 and len(timed.seconds) == timing.FEWEST_BLOCKS


def test_what_a_block_needs_first_is_outside_its_time_and_blocks_can_be_limited(watch: Stopwatch) -> None:
    timed = measure(watch.work(0.001, reset=lambda: watch.clock.advance(7.0), most_calls=3), watch.bench)
    assert timed.calls == 3 and timed.seconds == pytest.approx([0.003] * len(timed.seconds))
    assert sum(timed.seconds) >= 1.0


def test_device_work_that_is_still_running_is_waited_for(watch: Stopwatch) -> None:
    """Calls return at once; the device works when it is waited for."""
    queued: list[float] = []

    def synchronize() -> None:
        while queued:
            watch.clock.advance(queued.pop())

    watch.device.synchronize = synchronize  # type: ignore[method-assign]
    peak = measure(Work(call=lambda: queued.append(0.02), amount=1.0), watch.bench).peak("x", scale=1, conditions={})
    assert peak.value == pytest.approx(50)


def test_what_others_took_of_the_host_is_told(watch: Stopwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores for ten seconds: the ranks took 9 core-seconds, others 5, of which the hypervisor 2."""
    Times = namedtuple("Times", "user nice system idle iowait steal guest guest_nice")  # type: ignore[name-match]
    told = iter([Times(100, 0, 10, 50, 1, 0, 30, 0), Times(110, 0, 12, 55, 2, 2, 35, 0)])
    own = iter([7.0, 16.0])
    monkeypatch.setattr(timing.psutil, "cpu_times", lambda: next(told))
    monkeypatch.setattr(timing.time, "process_time", lambda: next(own))
    peak = measure(watch.work(0.1), watch.bench).peak("GB/s", scale=1.0, conditions={})
    assert peak.conditions["host_load"] == pytest.approx(5 / 20)


def test_the_ranks_tell_the_same_load_of_the_host() -> None:
    """Each reads the counters a moment apart from the other: both file what the busier reading says."""

    class Pair(Ranks):
        def gather(self, value: Any) -> list[Any]:
            return [value, 0.75]

    loaded = timing._load(timing._Host(all_s=0, idle_s=0, own_s=0), timing._Host(all_s=4, idle_s=2, own_s=1), Pair())
    assert loaded == 0.75  # its own reading: (4 - 2 - 1 - 0.75) / 4


def test_a_sweep_takes_the_fastest_size_and_stops_before_calls_get_too_long(watch: Stopwatch) -> None:
    seconds = {1: 0.01, 2: 0.01, 3: 0.09, 4: 9.0, 5: 9.0}
    amounts = {1: 1.0, 2: 2.0, 3: 3.0, 4: 40.0, 5: 50.0}
    best = sweep(list(amounts), amounts.__getitem__, lambda n: watch.work(seconds[n], amounts[n]), watch.bench)
    assert best.size == 2 and best.tried == pytest.approx({1: 100, 2: 200, 3: 3 / 0.09})
    assert best.stopped is not None and best.stopped.startswith("size 4: one call would take 1.2 s")


def test_a_sweep_keeps_what_it_has_when_memory_ends_and_fails_when_it_has_nothing(watch: Stopwatch) -> None:
    def build(size: int) -> Work:
        if size > 1:
            raise UnmeasurableError("no room")
        return watch.work(0.01, float(size))

    best = sweep([1, 2, 3], float, build, watch.bench)
    assert (best.size, best.stopped) == (1, "size 2: no room")
    with pytest.raises(UnmeasurableError, match="no room"):
        sweep([2, 3], float, build, watch.bench)


@pytest.mark.parametrize(
    ("seconds", "kept", "share"),
    [
        ([0.0124], 1 / 0.0124, 0.01 / 0.0124),
        ([0.02, 0.01], 100.0, 1.0),
        ([0.02, 0.016, 0.04, 0.01], 62.5, 0.625),
    ],
    ids=["as the clocks fall", "taken away for a while", "taken away for long"],
)
def test_what_is_far_below_its_short_try_is_timed_again(
    watch: Stopwatch, seconds: list[float], kept: float, share: float
) -> None:
    attempts, call_s = iter(seconds), [0.01]
    mark = watch.bench.mark

    def begins(name: str) -> float:
        if name == "begin":
            call_s[0] = next(attempts)
        return mark(name)

    watch.bench.mark = begins
    work = Work(call=lambda: watch.clock.advance(call_s[0]), amount=1.0)
    best = Best(size=7, work=work, tried={7: 100.0}, stopped=None)
    timed = best.measure(watch.bench)
    assert timed.rate == pytest.approx(kept)
    told = best.conditions(timed, scale=10.0)
    assert told == {"tried": {"7": 10.0}, "stopped": None, "share_of_try": pytest.approx(share)}
    assert watch.marks.count("begin") == min(len(seconds), ATTEMPTS)


@pytest.mark.parametrize("compute", figures.COMPUTE)
def test_each_product_is_right_within_its_tolerance_and_wrong_ones_are_not(compute: str, bench: Bench) -> None:
    if compute == "fp8":
        pytest.importorskip("torch", minversion="2.7", reason="older ones have no such product on a CPU")
    kind = products.KINDS[compute]
    first, second = products.operands(kind.dtypes[0], 64, torch.device("cpu"))
    result = products.multiplication(compute, first, second)()
    assert products.relative_error(first, second, result) <= kind.tolerance
    spoiled = result.clone()
    spoiled[:] = result.roll(1, dims=0)
    assert products.relative_error(first, second, spoiled) > kind.tolerance
    spoiled[:] = float("nan") if spoiled.is_floating_point() else 0
    assert not products.relative_error(first, second, spoiled) <= kind.tolerance


@pytest.mark.parametrize(("compute", "coarser"), [("fp32", 13), ("tf32", 16), ("fp64", 29)])
def test_a_product_of_a_coarser_type_is_not_taken_for_a_finer_one(compute: str, coarser: int) -> None:
    """Operands cut to TF32's, bfloat16's and float32's bits, multiplied exactly."""
    torch.manual_seed(0)
    dtype, integer = (torch.float64, torch.int64) if compute == "fp64" else (torch.float32, torch.int32)
    first, second = torch.randn(256, 256, dtype=dtype), torch.randn(256, 256, dtype=dtype)

    def rounded(x: torch.Tensor) -> torch.Tensor:
        bits = x.view(integer) + (1 << (coarser - 1))
        return ((bits >> coarser) << coarser).view(dtype).double()

    error = products.relative_error(first, second, rounded(first) @ rounded(second))
    assert error > products.KINDS[compute].tolerance
    assert products.relative_error(first, second, first.double() @ second.double()) < products.KINDS[compute].tolerance


def test_operands_are_random_in_every_element() -> None:
    first, second = products.operands("int8", 64, torch.device("cpu"))
    assert first.unique().numel() > 200 and not torch.equal(first, second)
    assert second.stride() == (1, 64) and products.operations(64) == 2 * 64**3


def test_a_product_is_measured_verified_and_told_with_its_size(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "SIZES", (64, 128))
    precision = make_case().precision
    (name, peak), *others = products.measure_product("fp32", precision, bench).items()
    assert name == "peak/matmul_fp32_tflops" and not others and peak.value is not None and peak.value > 0
    assert peak.conditions["matmul_mantissa_bits"] == 23 and peak.conditions["size"] in (64, 128)


def test_a_mode_that_does_not_run_is_not_measured(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "probe", lambda *_: {"matmul_mantissa_bits": 10})
    with pytest.raises(UnmeasurableError, match="keep 10 bits here, and fp32 keeps 23"):
        products.measure_product("fp32", make_case().precision, bench)


def test_products_that_are_not_offered_missing_or_wrong_have_reasons(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnmeasurableError, match="offers no precision that computes in tf32"):
        products.measure_product("tf32", None, bench)
    monkeypatch.setattr(products, "SIZES", (64,))
    monkeypatch.setattr(torch, "mm", lambda first, second, *, out: out.zero_())
    with pytest.raises(UnmeasurableError, match="product of order 64 is wrong here"):
        products.measure_product("fp64", None, bench)

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("not implemented for 'Char'\nmore")

    monkeypatch.setattr(torch, "_int_mm", refuse)
    with pytest.raises(UnmeasurableError, match=r"no product of this type on this device \(int8: not implemented"):
        products.measure_product("int8", None, bench)


def write_cache(cpu: Path, index: int, **told: str) -> None:
    folder = cpu / "cache" / f"index{index}"
    folder.mkdir(parents=True)
    for name, text in told.items():
        (folder / name).write_text(f"{text}\n")


def test_caches_of_the_last_level_count_once_each(tmp_path: Path) -> None:
    for number, shared in enumerate(("0-1", "0-1", "2-3", "2-3")):
        cpu = tmp_path / f"cpu{number}"
        write_cache(cpu, 0, level="1", type="Instruction", size="64M", shared_cpu_list=str(number))
        write_cache(cpu, 1, level="2", type="Unified", size="2048K", shared_cpu_list=str(number))
        write_cache(cpu, 2, level="3", type="Unified", size="32M", shared_cpu_list=shared)
    assert memory.last_level_cache_bytes(tmp_path) == 64 * 2**20
    assert memory.last_level_cache_bytes(tmp_path / "none") is None


def test_arrays_are_larger_than_caches_or_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Free:
        available = 8 * 2**30

    monkeypatch.setattr(memory.psutil, "virtual_memory", Free)
    assert memory.host_sizes(260 * 2**20, 1) == [1040 * 2**20]
    assert memory.host_sizes(2**20, 1) == [256 * 2**20]
    assert memory.host_sizes(None, 1) == [1024 * 2**20]
    with pytest.raises(UnmeasurableError, match=r"need 4.1 GiB, and half the free memory is 4.0"):
        memory.host_sizes(260 * 2**20, 2)


def test_memory_counts_bytes_read_and_written(watch: Stopwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "last_level_cache_bytes", lambda: 2**16)
    monkeypatch.setattr(memory, "HOST_LEAST_MIB", 1)
    copied: list[int] = []
    copy = torch.Tensor.copy_

    def timed(target: torch.Tensor, source: torch.Tensor, *more: Any) -> torch.Tensor:
        watch.clock.advance(0.05)
        copied.append(source.nbytes)
        return copy(target, source, *more)

    monkeypatch.setattr(torch.Tensor, "copy_", timed)
    peak = memory.measure_memory(watch.bench)[figures.MEMORY]
    assert peak.conditions["array_bytes"] == 2**20 == copied[-1]
    assert peak.value == pytest.approx(2 * 2**20 / 0.05 / 1e9)


def test_a_device_without_room_gets_smaller_arrays_down_to_four_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Stopwatch(on_host=False).bench
    tried: list[int] = []

    def build(size: int, _: Bench) -> Work:
        tried.append(size)
        if size > 2 * 2**30:
            raise torch.OutOfMemoryError("out of memory")
        return Work(call=lambda: None, amount=2.0 * size)

    monkeypatch.setattr(memory, "_build", build)
    assert memory._largest(memory.device_sizes(), bench)[0] == 2 * 2**30 == tried[-1]
    monkeypatch.setattr(memory, "_build", lambda *_: 1 / 0)
    with pytest.raises(UnmeasurableError, match="division"):
        memory._largest(memory.device_sizes(), bench)


def test_arrays_are_filled_to_the_end_and_a_copy_that_did_not_arrive_is_noticed() -> None:
    source = torch.zeros(3 * 2**19)
    memory.fill(source)
    assert (source == 0).sum() < 10 and torch.equal(source[: 2**19], source[2**20 :])
    with pytest.raises(UnmeasurableError, match="not what arrived"):
        memory.require_equal(source, torch.zeros_like(source))


def test_the_processor_has_no_device_to_copy_to_and_nobody_to_talk_to(watch: Stopwatch) -> None:
    for name in figures.COPIES:
        with pytest.raises(UnmeasurableError, match="no device to copy to"):
            copies.measure_copy(name, watch.bench)
    for alone in (collectives.measure_all_reduce, collectives.measure_point_to_point):
        with pytest.raises(UnmeasurableError, match=r"topology\.devices=2"):
            alone(watch.bench)


def test_each_kind_of_host_memory_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not copies.host_memory(8, pinned=False).is_pinned()
    monkeypatch.setattr(torch, "empty", lambda size, *, pin_memory, dtype: torch.ones(size, dtype=dtype))
    with pytest.raises(UnmeasurableError, match="not page-locked"):
        copies.host_memory(8, pinned=True)


def test_a_copy_counts_its_bytes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch(on_host=False)
    monkeypatch.setattr(copies, "SIZE_MIB", 1)
    monkeypatch.setattr(memory, "_PATTERN", 2**18)
    copy = torch.Tensor.copy_

    def timed(target: torch.Tensor, source: torch.Tensor, **more: Any) -> torch.Tensor:
        watch.clock.advance(0.05)
        return copy(target, source, **more)

    monkeypatch.setattr(torch.Tensor, "copy_", timed)
    name = "peak/device_to_host_pageable_gb_s"
    assert copies.measure_copy(name, watch.bench)[name].value == pytest.approx(2**20 / 0.05 / 1e9)


def test_conventions_of_collectives() -> None:
    assert [collectives.bus_factor(ranks) for ranks in (2, 4, 8)] == [1.0, 1.5, 1.75]
    assert collectives.pairs(2) == [(0, 1), (1, 0)] and collectives.pairs(4)[-1] == (3, 0)
    for ranks in (2, 8, 1024):
        assert ranks ** collectives.most_sums(ranks) <= 10**30


def test_what_fails_becomes_a_reason_and_a_broken_device_does_not(watch: Stopwatch) -> None:
    def fail(_: Bench) -> dict[str, figures.Peak]:
        raise RuntimeError("kernel not found\nstack")

    found = worker.measured((figures.MEMORY,), fail, watch.bench)
    assert (found[figures.MEMORY].value, found[figures.MEMORY].reason) == (None, "kernel not found")

    def broken() -> None:
        raise RuntimeError("illegal memory access")

    watch.device.synchronize = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="illegal"):
        worker.measured((figures.MEMORY,), fail, watch.bench)


def test_every_figure_is_measured_once_in_the_order_they_are_shown() -> None:
    plan = Plan(case=make_case(), seconds=1.0, precisions={})
    assert [name for names, _ in worker.measurements(plan) for name in names] == list(figures.NAMES)


def test_a_plan_is_composed_like_a_case(tmp_path: Path) -> None:
    plan = make_plan(["vendor=cpu", "topology.devices=2", "measure=smoke"], None)
    assert (plan.devices, plan.case.topology.name, plan.seconds, plan.short) == (2, "node", 0.5, True)
    assert sorted(plan.precisions) == ["bf16", "fp16", "fp32"]
    plan.save(tmp_path)
    assert load_plan(tmp_path) == plan
    assert make_plan(["vendor=cpu"], 2.5).seconds == 2.5


@pytest.mark.parametrize(
    ("overrides", "seconds", "message"),
    [
        (["model=gpt2"], None, "model has no effect"),
        (["precision=fp16"], None, "every precision its vendor offers"),
        (["model.train.batch_size=2"], None, r"model\.train\.batch_size has no effect"),
        (["run.retries=2"], None, r"run\.retries has no effect"),
        (["vendor=cpu", "emulate=true"], None, "says? nothing about the chip"),
        (["vendor=cpu", "topology=node"], None, "a CPU is only one"),
        (["vendor=cpu", "topology.devices=4096"], None, "Choose at most"),
        (["vendor=cpu"], 0.0, "--seconds 0 must be positive"),
        (["vendor=zixiao"], None, "through TopsInference alone: PyTorch, which measures peaks, cannot use it"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(overrides: list[str], seconds: float | None, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_plan(overrides, seconds)


def test_hardware_that_is_not_here_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vendor=nvidia", "vendor.device=hardware.vendors.kunlunxin.Kunlunxin"]) == HardwareError.exit_code
    assert "not available on this machine: no device (/dev/xpu" in capsys.readouterr().err
    assert main(["--seconds", "1", "vendor=cpu", "run.rooot=x"]) == 2
    assert "run.root" in capsys.readouterr().err


def plan_of(tmp_path: Path, *, devices: int = 1, seconds: float = 3.0, on_host: bool = False) -> Plan:
    base = report_case(devices=devices, vendor=replace(NVIDIA, on_host=on_host))
    return Plan(case=replace(base, run=replace(base.run, root=str(tmp_path))), seconds=seconds, precisions={})


def told(value: float = 250.0, *, chip: str = A100, failure: Any = None) -> Launched:
    peak = figures.Peak(
        value=value,
        unit="TFLOP/s",
        spread=figures.Spread(lowest=value - 10, highest=value + 15, relative=0.1, blocks=10),
        conditions={"operands": "bfloat16", "size": 8192},
        window_s=(10.0, 13.0),
    )
    environment = {"devices": [{"index": 0, "name": chip, "uuid": "GPU-1"}]}
    return Launched(
        figures={"peak/matmul_bf16_tflops": json.loads(json.dumps(asdict(peak)))},
        environment=environment,
        failure=failure,
    )


def filed(tmp_path: Path, **changes: Any) -> Path:
    """A filed measurement of A100s; `changes` replace keys of its content."""
    made = content(plan_of(tmp_path, devices=changes.get("devices", 1)), told(), tmp_path) | changes
    path = file.path_of(tmp_path, made)
    file.save(path, made)
    return path


def test_what_is_filed_stands_beside_the_data_sheet(tmp_path: Path) -> None:
    made = content(plan_of(tmp_path), told(), tmp_path)
    assert list(made["figures"]) == list(figures.NAMES) and made["device_uuids"] == ["GPU-1"]
    one = made["figures"]["peak/matmul_bf16_tflops"]
    assert (one["data_sheet"], one["fraction"]) == (PEAK / 1e12, pytest.approx(250 / 312))
    assert one["power_mean_w"] is None and one["power_reason"]
    assert made["figures"][figures.MEMORY]["data_sheet"] == 2039
    assert made["figures"][figures.MEMORY]["reason"] == "nothing measured it"
    text = to_text(page(made))
    assert "A100" in text and "250.0" in text and "80.1 %" in text and "10.0 %" in text and "order 8,192" in text
    assert "Other processes" not in text and json.loads(json.dumps(made)) == made
    one["conditions"] |= {"host_load": 0.31, "share_of_try": 0.54}
    assert "(31 %). Measure again" in to_text(page(made))
    assert "matmul bf16 (54 %). Measure again" in " ".join(to_text(page(made)).split())


def test_more_than_the_data_sheet_is_an_error_and_no_fraction(tmp_path: Path) -> None:
    """374.4 of an A100's 312 TFLOP/s are 120 %."""
    made = content(plan_of(tmp_path), told(374.4), tmp_path)
    one = made["figures"]["peak/matmul_bf16_tflops"]
    assert (one["value"], one["fraction"], one["beyond_data_sheet"]) == (374.4, None, True)
    assert "More than the data sheet allows: matmul bf16 (120 %)" in " ".join(to_text(page(made)).split())
    assert "More than" not in to_text(page(content(plan_of(tmp_path), told(312.0), tmp_path)))


def test_peaks_of_unlike_devices_are_nobodys(tmp_path: Path) -> None:
    both = told()
    both.environment["devices"].append({"index": 1, "name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-2"})
    made = content(plan_of(tmp_path, devices=2), both, tmp_path)
    assert made["chip"] == "A100 SXM 80GB + H100 SXM 80GB"
    assert made["figures"]["peak/matmul_bf16_tflops"]["fraction"] is None
    assert "different kinds" in " ".join(to_text(page(made)).split())
    assert content(plan_of(tmp_path), both, tmp_path)["chip"] == "A100 SXM 80GB", "one rank, one device"
    file.save(file.path_of(tmp_path, made), made)
    run = tmp_path / "run"
    run.mkdir()
    pair = [DeviceIdentity(index=i, uuid=None, pci_bus_id=None, name=name) for i, name in enumerate((A100, "T4"))]
    assert file.take_along(plan_of(tmp_path, devices=2).case, run, pair) == {"measured_peaks": None}


def test_the_peak_of_a_part_is_not_filed_as_the_chips(tmp_path: Path) -> None:
    part = told()
    part.environment["devices"][0] |= {"partition": "MIG", "memory_bytes": 10 * 2**30}
    assert content(plan_of(tmp_path), part, tmp_path)["chip"] == f"{A100} (MIG)"


def test_a_failed_or_a_short_measurement_takes_no_good_ones_place(tmp_path: Path) -> None:
    failed = content(plan_of(tmp_path), told(failure=WorkerCrashedError("The worker was killed.")), tmp_path)
    assert failed["status"] == "failed" and failed["figures"]["peak/matmul_bf16_tflops"]["value"] == 250
    assert "WorkerCrashedError" in failed["figures"][figures.MEMORY]["reason"]
    assert "The worker was killed." in to_text(page(failed))
    short = content(plan_of(tmp_path, seconds=0.5), told(), tmp_path)
    names = {file.path_of(tmp_path, made).name for made in (failed, short)}
    assert all(name.startswith("nvidia_A100") and name.endswith(("_1_failed.json", "_1_short.json")) for name in names)
    for made in (failed, short):
        file.save(file.path_of(tmp_path, made), made)
    assert file.find(tmp_path, "nvidia", failed["chip"], 1) is None
    good = filed(tmp_path)
    assert file.find(tmp_path, "nvidia", failed["chip"], 1) == good
    assert file.find(tmp_path, "nvidia", "A100", 1) is None


def test_a_devices_peak_holds_for_several_and_a_shared_processors_does_not(tmp_path: Path) -> None:
    four, eight = filed(tmp_path, devices=4), filed(tmp_path, devices=8)
    chip = json.loads(four.read_text())["chip"]
    assert [file.find(tmp_path, "nvidia", chip, devices) for devices in (8, 2)] == [eight, four]
    filed(tmp_path, devices=4, ranks_share_device=True)
    filed(tmp_path, devices=8, ranks_share_device=True)
    assert file.find(tmp_path, "nvidia", chip, 2) is None and file.find(tmp_path, "nvidia", chip, 4) == four


def test_of_ranks_on_several_nodes_those_of_one_share_its_processor(tmp_path: Path) -> None:
    """Two nodes of two ranks: a rank has half a processor, as of two ranks, and not a quarter."""
    two = filed(tmp_path, devices=2, ranks_share_device=True)
    filed(tmp_path, devices=4, ranks_share_device=True)
    made = plan_of(tmp_path, devices=2).case
    cluster = replace(made, topology=replace(made.topology, name="cluster", nodes=2))
    run = tmp_path / "run"
    run.mkdir()
    identities = [DeviceIdentity(index=0, uuid=None, pci_bus_id=None, name=A100)]
    told = file.take_along(cluster, run, identities)["measured_peaks"]
    assert told is not None and (told["file"], told["devices"]) == (two.relative_to(tmp_path).as_posix(), 2)


def finished(tmp_path: Path, *, peaks: bool = True, chip: str = A100, emulate: bool = False) -> Report:
    """The report of a run of two devices at 200 TFLOP/s, whose worker looked for filed peaks."""
    made = report_case(emulate=emulate)
    made = replace(made, run=replace(made.run, root=str(tmp_path)))
    folder = Folder(tmp_path / "run", made)
    if peaks:
        identity = DeviceIdentity(index=0, uuid=None, pci_bus_id=None, name=chip)
        file.take_along(made, folder.path, [identity])
    folder.begin(chip=chip)
    folder.segment(0, samples=8000, seconds=40.0, core_s=30.0)
    return folder.end(samples=8000, training_s=50.0, evaluate_s=0.0, core_s=30.0)


def test_reports_show_both_fractions(tmp_path: Path) -> None:
    filed(tmp_path)
    report = finished(tmp_path)
    assert report.figures["compute/measured_peak_flops_per_second"].value == 2 * 250e12
    assert report.figures["compute/mfu_of_measured_peak"].value == pytest.approx(200 / 500)
    assert report.figures["compute/mfu"].value == pytest.approx(200 / 624)


def test_a_report_depends_on_the_run_folder_alone(tmp_path: Path) -> None:
    path = filed(tmp_path)
    run = tmp_path / "one"
    run.mkdir()
    identity = DeviceIdentity(index=0, uuid=None, pci_bus_id=None, name=A100)
    made = replace(plan_of(tmp_path).case)
    source = file.take_along(made, run, [identity])["measured_peaks"]
    assert source == {"file": f"peaks/{path.name}", "date": json.loads(path.read_text())["date"], "devices": 1}
    chip = json.loads(path.read_text())["chip"]
    path.unlink()
    assert json.loads((run / "peaks.json").read_text())["file"] == f"peaks/{path.name}"
    assert file.peak_of_run(run, "nvidia", chip, "bf16") == 250e12
    assert file.take_along(made, run, [identity]) == {"measured_peaks": None} and not (run / "peaks.json").exists()


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"schema_version": 2}'])
def test_a_damaged_file_is_none(tmp_path: Path, damage: str) -> None:
    filed(tmp_path).write_text(damage)
    assert finished(tmp_path).figures["compute/mfu_of_measured_peak"].reason == file.NONE_FILED


def test_without_a_measured_peak_the_report_says_how_to_get_one(tmp_path: Path) -> None:
    filed(tmp_path)
    other = finished(tmp_path, chip="NVIDIA H100 80GB HBM3")
    for name in ("compute/measured_peak_flops_per_second", "compute/mfu_of_measured_peak"):
        assert other.figures[name].value is None and other.figures[name].reason == file.NONE_FILED
    assert other.figures["compute/mfu"].value is not None


def test_a_precision_that_could_not_be_measured_says_why(tmp_path: Path) -> None:
    none = {"value": None, "unit": "TFLOP/s", "reason": "the product is wrong here"}
    filed(tmp_path, figures={"peak/matmul_bf16_tflops": none})
    reason = finished(tmp_path).figures["compute/mfu_of_measured_peak"].reason
    assert reason == "no measured peak of this chip in this precision: the product is wrong here"


def test_a_processors_peak_that_was_measured_beside_others_is_not_used(tmp_path: Path) -> None:
    one = {"value": 250.0, "unit": "TFLOP/s", "reason": None, "conditions": {"host_load": 0.25}}
    path = filed(tmp_path, devices=2, ranks_share_device=True, figures={"peak/matmul_bf16_tflops": one})
    reason = finished(tmp_path).figures["compute/mfu_of_measured_peak"].reason
    assert reason is not None and "others kept 25 % of it busy" in reason
    made = json.loads(path.read_text())
    file.save(tmp_path / "run" / file.COPY, made | {"ranks_share_device": False})
    assert file.peak_of_run(tmp_path / "run", "nvidia", made["chip"], "bf16") == 250e12


def test_a_peak_far_below_its_short_try_is_not_used(tmp_path: Path) -> None:
    one = {"value": 250.0, "unit": "TFLOP/s", "reason": None, "conditions": {"share_of_try": 0.54}}
    filed(tmp_path, figures={"peak/matmul_bf16_tflops": one})
    reason = finished(tmp_path).figures["compute/mfu_of_measured_peak"].reason
    assert reason is not None and "at 54 % of what a short try reached" in reason


def test_an_emulated_run_has_no_measured_peak(tmp_path: Path) -> None:
    filed(tmp_path)
    report = finished(tmp_path, emulate=True)
    assert not (tmp_path / "run" / "peaks.json").exists()
    assert report.figures["compute/mfu_of_measured_peak"].value is None
    assert report.figures["compute/measured_peak_flops_per_second"].reason == "emulated on the host CPU"


def test_a_chip_that_cannot_do_a_precision_is_asked_first(bench: Bench) -> None:
    def require_chip(_: Any) -> None:
        raise PrecisionUnsupportedError("V100 has no bf16")

    bench.device.require_chip = require_chip  # type: ignore[attr-defined]
    with pytest.raises(UnmeasurableError, match="V100 has no bf16"):
        products.measure_product("bf16", make_case().precision, bench)

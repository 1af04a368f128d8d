"""The real command, on this processor, as short as it goes; and ranks that really talk to each other."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from hardware.spec import VendorSpec
from hardware.vendors.cpu import Cpu
from runner.measure.ranks import HostRanks, UnmeasurableError
from runner.peaks import collectives
from runner.peaks.measure import Bench
from runner.record.peaks import peak_figures as figures

SECONDS = 0.05
CPU = VendorSpec(
    name="cpu",
    title="Host CPU",
    device="hardware.vendors.cpu.Cpu",
    visible_devices_env=None,
    communication_backend="gloo",
    precisions=("fp32",),
    tasks=("train",),
    meters=("host",),
)


def test_the_command_measures_files_and_prints(tmp_path: Path) -> None:
    arguments = ["vendor=cpu", f"run.root={tmp_path}", "tracking=none", "--seconds", str(SECONDS), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "runner.peaks", *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    (path,) = (tmp_path / "peaks").glob("*.json")
    assert json.loads(path.read_text()) == made and path.name.endswith("_1_short.json") and made["short"]
    values = {name: one["value"] for name, one in made["figures"].items()}
    assert list(values) == list(figures.NAMES)
    # Less than any processor's, and more: what is outside was not counted or not waited for.
    assert 1e-5 < values["peak/matmul_fp32_tflops"] < 1e3 and 0.01 < values[figures.MEMORY] < 1e4
    assert made["figures"]["peak/matmul_fp32_tflops"]["conditions"]["matmul_mantissa_bits"] == 23
    assert "peak/matmul_tf32_tflops" in values and values["peak/matmul_tf32_tflops"] is None
    for name, one in made["figures"].items():
        assert (one["value"] is None) == (one["reason"] is not None), name
        if one["value"] is not None:
            assert one["spread"]["lowest"] <= one["value"] <= one["spread"]["highest"]
            assert one["spread"]["blocks"] >= 5 and one["conditions"]["timed_s"] >= SECONDS
    for name in [*figures.COPIES, figures.ALL_REDUCE_BUS, figures.POINT_TO_POINT]:
        assert values[name] is None
    assert "fp32" in done.stderr and made["environment"]["packages"]["torch"]


def _communicate(rank: int, folder: str) -> None:
    """One of two ranks: both communication figures, and an attempt that fails on one rank only."""
    from torch import distributed

    torch.set_num_threads(1)
    wait = timedelta(seconds=60)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=wait)
    ranks = HostRanks(rank=rank, world=2, control=distributed.new_group(backend="gloo", timeout=wait))
    cpu = torch.device("cpu")
    bench = Bench(device=Cpu(CPU), torch_device=cpu, ranks=ranks, seconds=SECONDS, mark=lambda _: time.monotonic())
    found = collectives.measure_all_reduce(bench) | collectives.measure_point_to_point(bench)
    problem = ""
    try:
        ranks.attempt(lambda: 1 / rank)
    except UnmeasurableError as error:
        problem = str(error)
    told = {name: [one.value, one.conditions] for name, one in found.items()} | {"problem": problem}
    (Path(folder) / f"{rank}.json").write_text(json.dumps(told))
    ranks.close()


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
def test_two_ranks_agree_on_what_they_measured(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_communicate, args=(str(tmp_path),), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first["problem"] == "float division by zero" or "division" in first["problem"]
    bus, told = first[figures.ALL_REDUCE_BUS]
    assert bus == pytest.approx(first[figures.ALL_REDUCE_ALGORITHM][0]) and told["ranks"] == 2
    transfer, told = first[figures.POINT_TO_POINT]
    assert set(told["pairs"]) == {"0->1", "1->0"} and transfer == min(told["pairs"].values())
    assert 0.001 < transfer < 1e4

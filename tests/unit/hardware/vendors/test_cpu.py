import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hardware_specs import precision, vendor
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from hardware.base import PrecisionUnsupportedError
from hardware.device import load_device
from hardware.spec import PrecisionSpec
from hardware.stacks.host import cpu_name
from hardware.vendors.cpu import Cpu


@pytest.fixture
def cpu() -> Cpu:
    return Cpu(vendor("cpu"))


def test_is_available_and_counts_ranks(cpu: Cpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert cpu.unavailable_reason() is None
    cpu.connect()
    assert cpu.count() == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert cpu.count() == 4
    assert cpu.torch_device(3) == torch.device("cpu")
    assert not cpu.pins_memory()


def test_events_measure_the_host_clock(cpu: Cpu) -> None:
    start, end = cpu.event(), cpu.event()
    start.record()
    time.sleep(0.02)
    end.record()
    cpu.synchronize()
    assert 0.02 <= cpu.elapsed_s(start, end) < 10.0
    with pytest.raises(AssertionError, match="before it was recorded"):
        cpu.elapsed_s(start, cpu.event())


def test_memory_peaks_are_null_with_a_reason(cpu: Cpu) -> None:
    cpu.reset_memory_peaks()
    peaks = cpu.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes) == (None, None)
    assert peaks.reason and "host_peak_rss" in peaks.reason


def test_seed_repeats_every_generator(cpu: Cpu) -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    cpu.seed(2**32 + 5)
    first = draw()
    assert draw() != first
    cpu.seed(2**32 + 5)
    assert draw() == first


def test_name_comes_from_the_kernel(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Intel(R)  Xeon(R) Platinum 8480C\nmodel name\t: other\n")
    assert cpu_name(file) == "Intel(R) Xeon(R) Platinum 8480C"
    file.write_text("processor\t: 0\nCPU implementer\t: 0x41\n")
    assert cpu_name(file) == cpu_name(tmp_path / "missing") != ""


def test_identity_and_versions(cpu: Cpu) -> None:
    (identity,) = cpu.identities()
    assert (identity.index, identity.uuid, identity.pci_bus_id) == (0, None, None)
    assert identity.name == cpu_name()
    versions = cpu.versions()
    assert versions["threads"] == str(torch.get_num_threads())
    assert versions["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert all(isinstance(value, str) and value for value in versions.values())


def test_strategies(cpu: Cpu, monkeypatch: pytest.MonkeyPatch) -> None:
    single = cpu.strategy(1)
    assert isinstance(single, SingleDeviceStrategy) and single.root_device == torch.device("cpu")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with pytest.raises(RuntimeError, match="--nproc-per-node 2"):
        cpu.strategy(2)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    parallel = cpu.strategy(2)
    assert isinstance(parallel, DDPStrategy) and parallel._process_group_backend == "gloo"
    assert parallel.cluster_environment is not None and parallel.cluster_environment.creates_processes_externally


def test_ieee_switches_short_cuts_off(cpu: Cpu) -> None:
    torch.set_float32_matmul_precision("medium")
    cpu.set_matmul("ieee")
    assert torch.get_float32_matmul_precision() == "highest"
    if hasattr(torch.backends.mkldnn, "conv"):
        assert torch.backends.mkldnn.conv.fp32_precision == "ieee"
        assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"


@pytest.mark.parametrize("mode", ["tf32", "bf16"])
def test_other_modes_are_refused(cpu: Cpu, mode: str) -> None:
    with pytest.raises(PrecisionUnsupportedError):
        cpu.set_matmul(mode)


@pytest.mark.parametrize("name", ["nvidia", "kunlunxin"])
def test_emulated_says_so_everywhere(name: str) -> None:
    device = load_device(vendor(name), emulate=True)
    assert device.unavailable_reason() is None
    device.connect()
    assert device.accelerator() == "cpu" and device.torch_device(0).type == "cpu"
    assert "emulated" in device.versions()["emulated"]
    assert device.identities()[0].name.startswith("emulated")
    assert device.spec.name == name
    with pytest.raises(PrecisionUnsupportedError, match="fp32, "):
        device.precision_plugin(precision("bf16") if name == "kunlunxin" else _unknown())


def _unknown() -> PrecisionSpec:
    spec = precision("fp32")
    spec.name = "int8"
    return spec


def test_emulated_communicates_over_gloo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    assert load_device(vendor("kunlunxin"), emulate=True).strategy(2)._process_group_backend == "gloo"


def test_emulated_tf32_is_refused_not_replaced() -> None:
    device = load_device(vendor("nvidia"), emulate=True)
    with pytest.raises(PrecisionUnsupportedError, match=r"NVIDIA GPU emulated on the host CPU.*no tf32"):
        device.precision_plugin(precision("tf32"))


TWO_RANKS = """
import os, sys
sys.path.insert(0, sys.argv[1])
import pytorch_lightning as pl, torch
from hardware_specs import precision, vendor
from hardware.device import load_device
class Linear(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, index):
        return self.layer(batch).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
device = load_device(vendor("kunlunxin"), emulate=True)
device.seed(int(os.environ["RANK"]))
model = Linear()
data = torch.utils.data.DataLoader(torch.rand(8, 4) + int(os.environ["RANK"]), batch_size=2)
trainer = pl.Trainer(accelerator=device.accelerator(), devices=device.count(), strategy=device.strategy(2), max_steps=2,
    logger=False, enable_checkpointing=False, enable_progress_bar=False, use_distributed_sampler=False,
    plugins=[device.precision_plugin(precision("fp16"))], gradient_clip_val=1.0)
trainer.fit(model, data)
weights = trainer.strategy.all_gather(model.layer.weight.detach())
assert trainer.world_size == 2 and torch.equal(weights[0], weights[1]), weights
print("rank", os.environ["RANK"], "agrees")
"""


@pytest.mark.heavy
def test_two_ranks_of_torchrun_train_together(tmp_path: Path) -> None:
    script = tmp_path / "ranks.py"
    script.write_text(TWO_RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    root = Path(__file__).parents[4]
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root), "HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, str(Path(__file__).parents[3] / "support")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("agrees") == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted through glibc's settings")
def test_connected_device_keeps_freed_memory() -> None:
    """64 MiB that are freed and taken again cost 16,384 page faults of 4 KiB each time unless they were kept."""
    script = """
import resource, torch
from hardware_specs import vendor
from hardware.vendors.cpu import Cpu
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.empty(16 << 20).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
cpu = Cpu(vendor("cpu"))
by_default = faults()
cpu.connect()
faults()
print(by_default, faults(), cpu.versions()["allocator"], sep=";")
"""
    root = Path(__file__).parents[4]
    folder = root / "tests/support"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{root}"},
    )
    by_default, kept, allocator = ended.stdout.strip().split(";")
    assert allocator == "freed memory is kept"
    assert int(kept) < int(by_default) / 4

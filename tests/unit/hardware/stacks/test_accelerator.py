"""Lightning with a device module that it does not know: in a process of its own, where torch's spare back-end can take
a vendor's name, and here with stand-ins."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.strategies import DDPStrategy
from torch import nn

from hardware.stacks.accelerator import make_accelerator, register_accelerator
from hardware.stacks.strategy import _module_ddp, build_strategy

ROOT = Path(__file__).parents[4]

PROCESS = """
import json, sys, warnings
warnings.filterwarnings("ignore")
from pathlib import Path
from hardware_specs import precision, vendor
from hardware.vendors.mthreads import Mthreads

device = Mthreads(vendor("mthreads"))
device.device_root = Path(sys.argv[1])
device.connect()
import torch, torch_musa
from pytorch_lightning import Trainer
plugin = device.precision_plugin(precision("bf16"))
device.set_matmul("ieee")
trainer = Trainer(
    accelerator=device.accelerator(), devices=1, strategy=device.strategy(1), plugins=[plugin],
    logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
)
with trainer.precision_plugin.forward_context():
    inside = torch.is_autocast_enabled("musa"), str(torch.get_autocast_dtype("musa"))
trainer.strategy.accelerator.setup_device(trainer.strategy.root_device)
trainer.strategy.accelerator.teardown()
print(json.dumps({
    "accelerator": type(trainer.accelerator).__name__,
    "name": trainer.accelerator.name(),
    "devices": trainer.num_devices,
    "visible": trainer.accelerator.auto_device_count(),
    "root": str(trainer.strategy.root_device),
    "second": str(device.torch_device(1)),
    "plugin": type(trainer.precision_plugin).__name__,
    "inside": inside,
    "calls": torch_musa.calls[-2:],
    "tf32": torch.backends.mudnn.allow_tf32,
    "versions": device.versions(),
    "identities": [[one.name, one.driver_index] for one in device.identities()],
}))
"""


def test_a_trainer_takes_the_vendors_accelerator_and_device(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for number in (0, 1):
        (tmp_path / f"dev/mtgpu.{number}").touch()
    paths = [ROOT, ROOT / "tests/fakes/torch_musa", ROOT / "tests/support"]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("VISIBLE_DEVICES")}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["accelerator"], found["name"]) == ("ModuleAccelerator", "musa")
    assert (found["devices"], found["visible"], found["root"], found["second"]) == (1, 2, "musa:0", "musa:1")
    assert (found["plugin"], found["inside"]) == ("MixedPrecision", [True, "torch.bfloat16"])
    assert found["calls"] == ["set_device musa:0", "empty_cache"]
    assert found["tf32"] is False
    assert found["versions"]["timing"] == "device events" and found["versions"]["mudnn"] == "2700"
    assert found["identities"] == [["MTT S5000", 0], ["MTT S5000", 1]]


@pytest.fixture
def chips(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    calls: list[Any] = []
    made = SimpleNamespace(calls=calls, device_count=lambda: 3, set_device=calls.append, empty_cache=lambda: None)
    monkeypatch.setattr(torch, "chips", made, raising=False)
    yield made
    AcceleratorRegistry.pop("chips", None)


def test_an_accelerator_is_registered_once(chips: Any) -> None:
    assert register_accelerator("chips") == "chips"
    first = AcceleratorRegistry["chips"]["accelerator"]
    assert register_accelerator("chips") == "chips"
    assert AcceleratorRegistry["chips"]["accelerator"] is first
    assert first.name() == "chips"


def test_what_lightning_asks_of_it(chips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = make_accelerator("chips")
    assert (kind.auto_device_count(), kind.is_available()) == (3, True)
    assert [kind.parse_devices(asked) for asked in (2, "2", [2, 0])] == [[0, 1], [0, 1], [2, 0]]
    one = kind()
    assert one.get_device_stats("chips:0") == {}
    one.setup_device(SimpleNamespace(type="chips", index=1))  # type: ignore[arg-type]
    assert [device.index for device in chips.calls] == [1]
    with pytest.raises(ValueError, match=r"a device of torch\.chips was expected, not cpu"):
        one.setup_device(torch.device("cpu"))
    one.teardown()
    del chips.set_device, chips.empty_cache
    one.setup_device(SimpleNamespace(type="chips", index=0))  # type: ignore[arg-type]
    one.teardown()
    chips.device_count = lambda: 0
    assert not kind.is_available()
    monkeypatch.delattr(torch, "chips")
    assert not kind.is_available()


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "GROUP_RANK": "0"}
    values |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500", "LOCAL_WORLD_SIZE": "2"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_data_parallel_over_the_vendors_library(torchrun: None) -> None:
    strategy = build_strategy(2, backend="hccl", device=SimpleNamespace(type="npu"))  # type: ignore[arg-type]
    assert type(strategy).__name__ == "ModuleDDPStrategy" and isinstance(strategy, DDPStrategy)
    assert strategy.process_group_backend == "hccl"
    assert type(build_strategy(2, backend="nccl", device=torch.device("cuda"))) is DDPStrategy


def test_several_ranks_need_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with pytest.raises(RuntimeError, match="2 ranks need a launcher"):
        build_strategy(2, backend="mccl", device=SimpleNamespace(type="musa"))  # type: ignore[arg-type]


def test_the_model_is_wrapped_without_a_stream_of_cudas(torchrun: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a stream of torch.cuda was asked for")

    monkeypatch.setattr(torch.cuda, "Stream", refuse)
    monkeypatch.setattr(torch.cuda, "stream", refuse)
    strategy = _module_ddp()(parallel_devices=[torch.device("cpu")], find_unused_parameters=True)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        wrapped = strategy._setup_model(nn.Linear(3, 2))
        assert isinstance(wrapped, nn.parallel.DistributedDataParallel)
        assert wrapped.find_unused_parameters is True, "Lightning's options reach the wrapper"
        wrapped(torch.ones(4, 3)).sum().backward()
        assert torch.equal(wrapped.module.bias.grad, torch.full((2,), 4.0))
    finally:
        dist.destroy_process_group()

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.chips import find_chip
from hardware.detect import detect_vendor, device_nodes
from hardware.engines.native.network import waiting_for
from hardware.vendors.habana import Habana

FAKE = Path(__file__).parents[3] / "fakes/habana_frameworks_stack"
VARIABLES = (
    "HABANA_VISIBLE_MODULES", "HLS_MODULE_ID", "PT_HPU_LAZY_MODE", "LOCAL_RANK", "LOCAL_WORLD_SIZE",
    "TORCHELASTIC_RUN_ID",
)  # fmt: skip


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")  # so that what connect() sets goes away with the test
        monkeypatch.delenv(variable)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "habana_frameworks"]:
        del sys.modules[name]
    if hasattr(torch, "hpu"):
        del torch.hpu


def make_node(root: Path, name: str, **attributes: str) -> None:
    """A node and what the kernel tells of it."""
    node = root / "dev" / ("accel" if name.startswith("accel") else "") / name
    node.parent.mkdir(parents=True, exist_ok=True)
    node.touch()
    kind = "accel" if name.startswith("accel") else "habanalabs"
    folder = root / "sys/class" / kind / name / ("device" if kind == "accel" else "")
    folder.mkdir(parents=True)
    for attribute, value in attributes.items():
        (folder / attribute).write_text(f"{value}\n")


@pytest.fixture
def device(tmp_path: Path) -> Habana:
    """Two Gaudis whose nodes and modules are numbered differently."""
    made = Habana(vendor("habana"))
    made.device_root = tmp_path
    make_node(tmp_path, "accel0", vendor="0x1da3", pci_addr="0000:4d:00.0", module_id="6")
    make_node(tmp_path, "accel1", vendor="0x1da3", pci_addr="0000:33:00.0", module_id="2")
    return made


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FAKE))


def hpu() -> Any:
    return sys.modules["habana_frameworks.torch.hpu"]


def test_unavailable_names_everything_that_is_missing(device: Habana, tmp_path: Path) -> None:
    assert device.unavailable_reason() == "no Python package habana_frameworks"
    device.device_root = tmp_path / "nothing"
    reason = device.unavailable_reason()
    assert reason and "/dev/accel/accel[0-9]*" in reason and "no Python package habana_frameworks" in reason
    with pytest.raises(HardwareUnavailableError, match=r"Install Habana's driver.*emulate=true"):
        device.connect()


def test_asking_imports_nothing(device: Habana, bridge: None) -> None:
    assert device.unavailable_reason() is None
    assert "habana_frameworks" not in sys.modules


def test_nodes_of_other_accelerators_are_not_gaudis(tmp_path: Path) -> None:
    make_node(tmp_path, "accel0", vendor="0x8086")  # an NPU of Intel's
    make_node(tmp_path, "accel1")  # a driver that tells nothing
    (tmp_path / "dev/accel/accel_controlD2").touch()
    assert device_nodes("habana", tmp_path) == []
    assert detect_vendor(tmp_path) == "cpu"
    make_node(tmp_path, "accel2", vendor="0x1DA3")
    assert device_nodes("habana", tmp_path) == [tmp_path / "dev/accel/accel2"]
    assert detect_vendor(tmp_path) == "habana"


def test_nodes_of_the_driver_from_outside_the_kernel(tmp_path: Path) -> None:
    make_node(tmp_path, "accel0", pci_addr="0000:4d:00.0")
    make_node(tmp_path, "hl1", pci_addr="0000:33:00.0")
    (tmp_path / "dev/hl_controlD1").touch()
    assert [node.name for node in device_nodes("habana", tmp_path)] == ["hl1"]
    pci = tmp_path / "sys/bus/pci/devices/0000:4d:00.0"
    pci.mkdir(parents=True)
    (pci / "vendor").write_text("0x1da3\n")
    assert [node.name for node in device_nodes("habana", tmp_path)] == ["accel0", "hl1"]


def test_connect_chooses_eager_and_the_first_module(device: Habana, bridge: None) -> None:
    device.connect()
    assert os.environ["PT_HPU_LAZY_MODE"] == "0"
    assert hpu().acquired == ["2"], "the lowest module, named before the device was acquired"
    assert "mark_step" not in hpu().calls and hpu().calls[0] == "hccl"
    assert device.versions()["mode"] == "eager"
    assert (device.count(), device.communication_backend()) == (2, "hccl")


@pytest.mark.parametrize(
    ("variables", "module", "address"),
    [
        ({"HABANA_VISIBLE_MODULES": "6"}, "6", "0000:4d:00.0"),
        ({"HABANA_VISIBLE_MODULES": "6,2"}, "6", "0000:4d:00.0"),
        ({"HLS_MODULE_ID": "6"}, "6", "0000:4d:00.0"),
        ({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, "6", "0000:33:00.0"),
        ({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "HABANA_VISIBLE_MODULES": "6,2"}, "2", "0000:4d:00.0"),
        ({"HABANA_VISIBLE_MODULES": "all"}, "2", "0000:33:00.0"),
        ({"HABANA_VISIBLE_MODULES": "5"}, "5", None),
    ],
)
@pytest.mark.usefixtures("bridge")
def test_the_module_of_a_rank(
    device: Habana,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    module: str,
    address: str | None,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    device.connect()
    assert hpu().acquired == [module]
    assert device.identities()[0].pci_bus_id == address, "local index 0, whatever this process's own rank is"


def test_identities(device: Habana, bridge: None) -> None:
    device.connect()
    first, second = device.identities()
    assert (first.name, first.uuid, first.pci_bus_id, first.driver_index) == ("GAUDI2", None, "0000:33:00.0", 1)
    assert (second.pci_bus_id, second.driver_index) == ("0000:4d:00.0", 0)
    chip = find_chip(first.name)
    assert chip is not None and chip.vendor == "habana"


def test_a_driver_that_tells_no_modules(tmp_path: Path, bridge: None) -> None:
    device = Habana(vendor("habana"))
    device.device_root = tmp_path
    make_node(tmp_path, "hl0", pci_addr="0000:19:00.0")
    device.connect()
    assert hpu().acquired == [None], "no module is guessed"
    assert device.identities()[0].pci_bus_id == "0000:19:00.0", "there is only one it can be"
    make_node(tmp_path, "hl1", pci_addr="0000:1a:00.0")
    assert [one.pci_bus_id for one in device.identities()] == [None, None]


def test_modules_that_are_not_all_known_name_none(device: Habana, bridge: None, tmp_path: Path) -> None:
    make_node(tmp_path, "accel2", vendor="0x1da3", pci_addr="0000:19:00.0")
    device.connect()
    assert hpu().acquired == [None]
    assert [one.pci_bus_id for one in device.identities()] == [None, None]


def test_listed_modules_limit_the_count(device: Habana, bridge: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABANA_VISIBLE_MODULES", "6")
    device.connect()
    assert device.count() == 1
    hpu().devices = 0
    with pytest.raises(HardwareUnavailableError, match=r"sees no device \(HABANA_VISIBLE_MODULES=6\)"):
        device.connect()


def test_events_of_the_eager_mode(device: Habana, bridge: None) -> None:
    device.connect()
    hpu().calls.clear()
    start, end = device.event(), device.event()
    start.record()
    end.record()
    device.synchronize()
    assert device.elapsed_s(start, end) == pytest.approx(0.125)
    assert hpu().calls == ["record", "record", "synchronize"]
    assert device.versions()["timing"] == "device events"


def test_events_of_the_lazy_mode_mark_a_step(device: Habana, bridge: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PT_HPU_LAZY_MODE", "1")
    device.connect()
    hpu().calls.clear()
    start, end = device.event(), device.event()
    start.record()
    end.record()
    device.synchronize()
    assert device.elapsed_s(start, end) == pytest.approx(0.125)
    assert hpu().calls == ["mark_step", "record", "mark_step", "record", "mark_step", "synchronize"]
    assert device.versions()["mode"].startswith("lazy")


@pytest.mark.parametrize(("lazy", "calls"), [("0", ["synchronize"]), ("1", ["mark_step", "synchronize"])])
def test_a_served_network_is_waited_for_in_either_mode(
    lazy: str, calls: list[str], device: Habana, bridge: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """compiler=eager: what the lazy mode has gathered is submitted before it is waited for."""
    monkeypatch.setenv("PT_HPU_LAZY_MODE", lazy)
    device.connect()
    hpu().calls.clear()
    waiting_for(device.torch_device(0))()
    assert hpu().calls == calls


def test_the_mode_is_the_one_the_bridge_is_in(device: Habana, bridge: None) -> None:
    import habana_frameworks.torch  # loaded before there was a choice, as PyTorch does with what registers itself

    assert isinstance(habana_frameworks.torch, ModuleType)
    device.connect()
    assert os.environ["PT_HPU_LAZY_MODE"] == "0"
    assert device.versions()["mode"].startswith("lazy")


def test_a_bridge_built_for_another_pytorch(device: Habana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken/habana_frameworks/torch"
    broken.mkdir(parents=True)
    (broken.parent / "__init__.py").touch()
    (broken / "__init__.py").write_text("raise AssertionError('PyTorch version 2.4 differs from run-time')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "broken"))
    with pytest.raises(HardwareUnavailableError, match=r"cannot use it: PyTorch version 2\.4 differs from run-time"):
        device.connect()


def test_memory_peaks(device: Habana, bridge: None, monkeypatch: pytest.MonkeyPatch) -> None:
    device.connect()
    peaks = device.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes) == (7, None)
    assert peaks.reason and "whole" in peaks.reason
    device.reset_memory_peaks()
    assert hpu().calls[-1] == "reset"
    monkeypatch.setattr(hpu(), "stats", {"Limit": 100, "MaxInUse": 0})
    assert device.memory_peaks().allocated_bytes is None and device.memory_peaks().reason

    def broken() -> dict[str, int]:
        raise RuntimeError("synapse: device not acquired")

    monkeypatch.setattr(hpu(), "memory_stats", broken)
    assert "device not acquired" in str(device.memory_peaks().reason)


def test_seeds(device: Habana, bridge: None) -> None:
    device.connect()
    device.seed(13)
    assert hpu().calls[-1] == "seed 13" and torch.initial_seed() == 13


def test_precisions(device: Habana, bridge: None) -> None:
    device.connect()
    assert device.precision_plugin(precision("bf16")).device == "hpu"
    device.set_matmul("ieee")
    for name in ("fp16", "tf32"):
        with pytest.raises(PrecisionUnsupportedError, match=f"does not offer precision={name}"):
            device.precision_plugin(precision(name))
    with pytest.raises(PrecisionUnsupportedError, match="no switch for TF32"):
        device.set_matmul("tf32")


@pytest.mark.parametrize(("ranks", "local_rank"), [(1, 0), (2, 1)])
@pytest.mark.usefixtures("bridge")
def test_lightning_takes_accelerator_and_strategy(
    device: Habana, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ranks: int, local_rank: int
) -> None:
    import pytorch_lightning as pl

    told = {"TORCHELASTIC_RUN_ID": "job", "LOCAL_WORLD_SIZE": ranks, "WORLD_SIZE": ranks, "LOCAL_RANK": local_rank}
    for name, value in (told | {"RANK": local_rank, "GROUP_RANK": 0}).items():
        monkeypatch.setenv(name, str(value))
    device.connect()
    trainer = pl.Trainer(
        accelerator=device.accelerator(),
        devices=ranks,
        strategy=device.strategy(ranks),
        plugins=[device.precision_plugin(precision("bf16"))],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    assert trainer.strategy.root_device == torch.device("hpu", 0), "every rank's own Gaudi is number 0"
    trainer.accelerator.setup_device(trainer.strategy.root_device)
    assert trainer.strategy.precision_plugin.device == "hpu"
    if ranks > 1:
        assert trainer.strategy._process_group_backend == "hccl"
        assert trainer.strategy.determine_ddp_device_ids() == [0]


def test_the_accelerator_takes_no_other_device(device: Habana, bridge: None) -> None:
    device.connect()
    with pytest.raises(ValueError, match=r"a device of torch\.hpu was expected, not cpu"):
        device.accelerator().setup_device(torch.device("cpu"))
    assert device.torch_device(5) == torch.device("hpu", 0)

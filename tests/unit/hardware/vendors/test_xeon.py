from pathlib import Path

import pytest
import torch
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.detect import device_nodes
from hardware.device import load_device
from hardware.vendors.xeon import ISA_LIMITS, Xeon

AVX512 = "fpu sse4_2 avx2 avx512f avx512_vnni"
SAPPHIRE_RAPIDS = f"{AVX512} avx512_bf16 avx512_fp16 amx_tile amx_bf16 amx_int8"


def describe(
    root: Path, *, name="Intel(R) Xeon(R) Platinum 8480C", maker="GenuineIntel", flags=SAPPHIRE_RAPIDS
) -> None:
    processors = [
        f"processor\t: {number}\nvendor_id\t: {maker}\nmodel name\t: {name}\nflags\t\t: {flags}\n"
        for number in range(2)
    ]
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text("\n".join(processors))


@pytest.fixture
def xeon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Xeon:
    for name in ISA_LIMITS:
        monkeypatch.delenv(name, raising=False)
    made = load_device(vendor("xeon"))
    assert isinstance(made, Xeon)
    made.device_root = tmp_path
    describe(tmp_path)
    return made


def test_a_xeon_is_available_and_computes_as_any_cpu(xeon: Xeon) -> None:
    assert xeon.unavailable_reason() is None
    xeon.connect()
    assert xeon.accelerator() == "cpu" and xeon.torch_device(0) == torch.device("cpu")
    (identity,) = xeon.identities()
    assert (identity.name, identity.uuid, identity.pci_bus_id) == ("Intel(R) Xeon(R) Platinum 8480C", None, None)
    assert xeon.spec.on_host, "its packages' power is the device's"


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        ("AMD EPYC 9654 96-Core Processor", "AuthenticAMD"),
        ("Intel(R) Core(TM) i9-14900K", "GenuineIntel"),
        ("Xeon-like QEMU Virtual CPU", "AuthenticAMD"),
    ],
)
def test_other_processors_are_refused_by_name(xeon: Xeon, tmp_path: Path, name: str, maker: str) -> None:
    describe(tmp_path, name=name, maker=maker)
    reason = xeon.unavailable_reason()
    assert reason == f"the host's processor is no Intel Xeon but {name}"
    with pytest.raises(HardwareUnavailableError, match=r"Intel Xeon: the host's processor.*vendor=cpu takes any other"):
        xeon.connect()


def test_a_machine_that_does_not_describe_its_processor(xeon: Xeon, tmp_path: Path) -> None:
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nCPU implementer\t: 0x41\n")
    assert "no Intel Xeon but " in str(xeon.unavailable_reason())
    (tmp_path / "proc/cpuinfo").unlink()
    assert "no Intel Xeon but " in str(xeon.unavailable_reason())


def test_it_is_never_found_in_the_place_of_cpu() -> None:
    assert device_nodes("xeon") == []


@pytest.mark.parametrize(
    ("flags", "offered", "refused"),
    [
        (SAPPHIRE_RAPIDS, ["fp32", "bf16", "bf16_true", "fp16", "fp16_true"], []),
        (f"{AVX512} avx512_bf16", ["fp32", "bf16", "bf16_true"], ["fp16", "fp16_true"]),
        (f"{AVX512} amx_tile amx_bf16 amx_fp16", ["fp32", "bf16", "fp16"], []),
        (AVX512, ["fp32"], ["bf16", "bf16_true", "fp16", "fp16_true"]),
    ],
)
def test_half_precision_needs_instructions(xeon: Xeon, tmp_path: Path, flags: str, offered, refused) -> None:
    describe(tmp_path, flags=flags)
    for name in offered:
        assert xeon.precision_plugin(precision(name)) is not None
    for name in refused:
        with pytest.raises(PrecisionUnsupportedError, match=f"8480C has no {name}: it has neither of .*as float32"):
            xeon.precision_plugin(precision(name))
    with pytest.raises(PrecisionUnsupportedError, match="precision=tf32"):
        xeon.precision_plugin(precision("tf32"))


@pytest.mark.parametrize("variable", ISA_LIMITS)
def test_a_limit_on_instructions_refuses_half_precision(xeon: Xeon, monkeypatch, variable: str) -> None:
    monkeypatch.setenv(variable, "AVX512_CORE")
    with pytest.raises(PrecisionUnsupportedError, match=f"{variable}=AVX512_CORE may forbid the instructions for bf16"):
        xeon.precision_plugin(precision("bf16"))
    assert xeon.precision_plugin(precision("fp32")) is not None
    assert xeon.versions()[variable] == "AVX512_CORE"
    monkeypatch.setenv(variable, "DEFAULT")
    assert xeon.precision_plugin(precision("bf16")) is not None


def test_versions_tell_the_instructions(xeon: Xeon, tmp_path: Path) -> None:
    versions = xeon.versions()
    assert versions["instructions"] == "amx_tile amx_bf16 amx_int8 avx512f avx512_bf16 avx512_fp16 avx512_vnni"
    assert versions["threads"] == str(torch.get_num_threads())
    describe(tmp_path, flags="fpu sse4_2")
    assert xeon.versions()["instructions"] == "none"

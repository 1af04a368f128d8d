"""Whose peak counts: that of the chip all devices of a case are, as a whole; else nobody's, with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from hardware.chip_identity import identify
from hardware.chips import peak_flops

A100, H100 = "NVIDIA A100-SXM4-40GB", "NVIDIA H100 80GB HBM3"
MI300X, MAX_1550 = "AMD Instinct MI300X", "Intel(R) Data Center GPU Max 1550"
GIB = 2**30


def device(name: str, *, gib: float | None = None, partition: str | None = None) -> dict[str, Any]:
    memory = None if gib is None else round(gib * GIB)
    return {"index": 0, "name": name, "memory_bytes": memory, "partition": partition}


def test_devices_of_one_kind_have_its_peak_by_whatever_alias() -> None:
    known = identify(None, [device(A100, gib=39.4), device("A100-SXM4-40GB", gib=39.4), {"index": 2, "name": A100}])
    assert known.entry is not None and known.name == "A100 SXM 40GB"
    assert peak_flops(known.entry, "bf16") == 312e12


@pytest.mark.parametrize("configured", [None, A100, H100])
def test_unlike_devices_have_no_peak(configured: str | None) -> None:
    """An A100 beside an H100 together do 312 + 989.4 TFLOP/s, which is no two devices' of either."""
    known = identify(configured, [device(A100), device(H100)])
    assert (known.name, known.entry, known.unlike) == ("A100 SXM 40GB + H100 SXM 80GB", None, True)
    assert known.reason is not None and "different kinds (A100 SXM 40GB, H100 SXM 80GB)" in known.reason


def test_a_part_beside_a_whole_chip_is_another_kind_even_without_an_entry() -> None:
    known = identify(None, [device("Chip X", gib=64), device("Chip X", gib=16)])
    assert known.unlike and known.reason == (
        "the case's devices named Chip X have between 16 GiB and 64 GiB of memory: no one peak is theirs"
    )


@pytest.mark.parametrize(
    ("one", "configured", "reason"),
    [
        (device(f"{A100} MIG 3g.20gb", gib=19.6), None, "no chip named 'NVIDIA A100-SXM4-40GB MIG 3g.20gb'"),
        (device(f"{A100} MIG 3g.20gb", gib=19.6), A100, "shows 19.6 GiB of memory and A100 SXM 40GB has 40"),
        (device(A100, partition="MIG"), None, "no chip named 'NVIDIA A100-SXM4-40GB (MIG)'"),
        (device(A100, partition="MIG"), A100, "no chip named 'NVIDIA A100-SXM4-40GB (MIG)'"),
        (device(A100, gib=9.8), None, "shows 9.8 GiB of memory and A100 SXM 40GB has 40"),
        (device(MI300X, partition="CPX"), None, "no chip named 'AMD Instinct MI300X (CPX)'"),
        (device(MI300X, partition="CPX"), "AMD MI300X", "no chip named 'AMD MI300X (CPX)'"),
        (device(MI300X, gib=24), None, "shows 24 GiB of memory and AMD MI300X has 192"),
        (device(MAX_1550, gib=122.7), None, "shows 123 GiB of memory and Intel Max 1550 stack has 64"),
        (device(A100, gib=39.4), H100, f"vendor.chip={H100} contradicts the driver, which says A100 SXM 40GB"),
        (device(A100, gib=39.4), "A100 of mine", "contradicts the driver, which says A100 SXM 40GB"),
        (device("GPU", gib=22.0), A100, "shows 22 GiB of memory and A100 SXM 40GB has 40"),
    ],
)
def test_what_is_not_the_whole_chip_has_no_peak_of_it(one: dict[str, Any], configured: str | None, reason: str) -> None:
    known = identify(configured, [one])
    assert known.entry is None and known.reason is not None and reason in known.reason
    assert known.name not in ("AMD MI300X", "H100 SXM 80GB", "Intel Max 1550 stack"), "peaks are filed by this name"


def test_a_card_of_two_stacks_has_the_cards_peak() -> None:
    card = identify(None, [device(MAX_1550, gib=122.7, partition="COMPOSITE")]).entry
    stack = identify(None, [device(MAX_1550, gib=61.4)]).entry
    assert card is not None and stack is not None
    assert (peak_flops(card, "bf16"), peak_flops(stack, "bf16")) == (839e12, 419.5e12)


def test_a_name_that_the_driver_does_not_give_is_configured() -> None:
    assert identify(A100, [device("GPU", gib=39.4)]).name == "A100 SXM 40GB"
    assert identify(A100, []).name == "A100 SXM 40GB"
    nothing = identify(None, [])
    assert nothing.name is None and nothing.reason is not None and "vendor.chip=NAME" in nothing.reason


@pytest.mark.parametrize("share", [0.657, 0.91, 0.931, 1.0])
def test_what_drivers_keep_back_makes_no_part(share: float) -> None:
    """An Ascend 910A shows 21,534 MiB of 32 GiB; error correction and decimal gigabytes take less."""
    assert identify(None, [device("Ascend910A", gib=32 * share)]).entry is not None

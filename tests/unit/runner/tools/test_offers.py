"""What a vendor's YAML offers is there: nothing is advised that cannot be chosen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hardware.meters.registry import meter_names
from runner.config.checks import check
from runner.config.schema import Case
from runner.core.errors import HardwareError
from runner.tools.support import cases, choices

VENDORS = {case.vendor.name: case for case in cases("vendor")}


@pytest.mark.parametrize("case", VENDORS.values(), ids=list(VENDORS))
def test_everything_a_vendor_offers_can_be_chosen(case: Case) -> None:
    vendor = case.vendor
    assert set(vendor.tasks) <= set(choices("task")) and vendor.tasks
    assert set(vendor.precisions) <= set(choices("precision")) and vendor.precisions
    assert set(vendor.compilers) <= set(choices("compiler"))
    assert {name for entry in vendor.meters for name in entry.split("|")} <= set(meter_names())


@pytest.mark.parametrize("tasks", [("inspect",), ("inspect", "dice")])
def test_a_refusal_advises_only_what_there_is(tasks: tuple[str, ...]) -> None:
    """Also of a vendor from elsewhere, whose YAML may name a task of another version."""
    case = VENDORS["zixiao"]
    refused = replace(case, vendor=replace(case.vendor, tasks=tasks), task=replace(case.task, name="train"))
    with pytest.raises(HardwareError) as caught:
        check(refused)
    assert str(caught.value) == (
        "vendor=zixiao cannot do task=train. Tencent Zixiao is for inference. It can do: inspect."
    )

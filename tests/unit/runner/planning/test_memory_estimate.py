"""The memory estimate of `task=inspect`, on Llama-2-7B's numbers.

The toy recipe of the folders has batches of one here: a sample is a sequence of 4,096 tokens.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_folders import NVIDIA, Folder, case

from runner.core.events import Name
from runner.results.build import build

PARAMETERS = 6_738_415_616
MULTIPLIED = PARAMETERS - 32_000 * 4_096 - 65 * 4_096
"""All but the embedding and the norms."""
GIB = 2**30
BLOCK, TABLE, BLOCKS = 202_383_360, 32_000 * 4_096, 32
ACTIVATIONS = 28.4 * GIB


def unit(parameters: int, *, count: int = 1, copied: int = 0, activations: float = 0.0) -> dict[str, float]:
    """A part with so many weights, of which `copied` are multiplied by: float32, AdamW, bfloat16's copies."""
    return {
        "count": count,
        "parameter_bytes": 4 * parameters,
        "split_share": 1.0,
        "gradient_bytes": 4 * parameters,
        "optimizer_state_bytes": 8 * parameters,
        "weight_copy_bytes": 2 * copied,
        "forward_flops_per_sample": 1e12,
        "skipped_flops_per_sample": 0.0,
        "activation_bytes_per_sample": activations,
        "whole_activation_bytes_per_sample": activations / 2,
        "kept_bytes_per_sample": activations / 8,
        "whole_kept_bytes_per_sample": 0.0,
        "input_bytes_per_sample": 4.0 * 4096 * 4096,
    }


UNITS = {
    "before": unit(TABLE),
    "blocks": [unit(BLOCK, count=BLOCKS, copied=BLOCK - 2 * 4_096, activations=ACTIVATIONS / BLOCKS)],
    "behind": unit(TABLE + 4_096, copied=TABLE),
    "tied": unit(0),
    "in_line": True,
    "tensor_divides": {"heads": 32},
    "backward_per_forward": 2.0,
}
ACCOUNT = {
    "parameters": PARAMETERS,
    "flops_per_sample": 1.9e14,
    "minimum_bytes_per_sample": 1e11,
    "parameter_bytes": 4 * PARAMETERS,
    "largest_unit_bytes": 4 * BLOCK,
    "root_unit_bytes": 4 * (PARAMETERS - BLOCKS * BLOCK),
    "gradient_bytes": 4 * PARAMETERS,
    "weight_copy_bytes": 2 * MULTIPLIED,
    "optimizer_state_bytes": 8 * PARAMETERS,
    "weight_average_bytes": 4 * PARAMETERS,
    "saved_activation_bytes_per_sample": ACTIVATIONS,
    "temporary_bytes_per_sample": 0.0,
    "units": UNITS,
    "samples_per_pass": 1.0,
}


@pytest.mark.parametrize(("devices", "buckets", "total"), [(1, 0.0, 141.1), (8, 25.1, 166.2)])
def test_copies_of_weights_and_buckets_are_in_it(tmp_path: Path, devices: int, buckets: float, total: float) -> None:
    folder = Folder(tmp_path / "run", case("inspect", devices=devices))
    folder.tell(Name.ACCOUNT, ACCOUNT)
    figures = build(folder.path).figures
    assert figures["estimate/weight_copies_gib"].value == pytest.approx(12.3, abs=0.05)
    assert figures["estimate/gradient_buckets_gib"].value == pytest.approx(buckets, abs=0.05)
    assert figures["estimate/total_gib"].value == pytest.approx(total, abs=0.1)


def test_an_average_of_the_weights_is_in_it_where_there_is_one(tmp_path: Path) -> None:
    """4 bytes for each of 6.7 billion: 25.1 GiB upon 141.1."""
    asked = case("inspect", devices=1)
    asked.model.training.regularisation.ema_decay = 0.999
    folder = Folder(tmp_path / "run", asked)
    folder.tell(Name.ACCOUNT, ACCOUNT)
    figures = build(folder.path).figures
    assert figures["estimate/weight_average_gib"].value == pytest.approx(4 * PARAMETERS / GIB)
    assert figures["estimate/total_gib"].value == pytest.approx(166.2, abs=0.1)


def test_an_account_without_parts_gives_no_total(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case("inspect", devices=1))
    folder.tell(Name.ACCOUNT, {key: value for key, value in ACCOUNT.items() if key != "units"})
    figures = build(folder.path).figures
    assert figures["estimate/total_gib"].value is None
    assert "did not count" in (figures["estimate/total_gib"].reason or "")


def test_sharded_training_has_an_eighth_of_the_state_and_gathers_two_blocks(tmp_path: Path) -> None:
    """A block of Llama-2-7B has 4 x 4096^2 + 3 x 4096 x 11008 + 2 x 4096 parameters; the rest lies apart."""
    asked = case("inspect", devices=8)
    asked.topology.parallel.fsdp = 8
    folder = Folder(tmp_path / "run", asked)
    folder.tell(Name.ACCOUNT, ACCOUNT)
    figures = build(folder.path).figures
    apart = 2 * 32_000 * 4_096 + 4_096
    block = 4 * 4_096**2 + 3 * 4_096 * 11_008 + 2 * 4_096
    by_hand = {
        "weights": 4 * PARAMETERS / 8,
        "gradients": 4 * PARAMETERS / 8,
        "optimizer": 8 * PARAMETERS / 8,
        "weight_copies": 4 * apart + 2 * 32_000 * 4_096 + 2 * 2 * block,  # what is in no block is gathered as it is
        "gradient_buckets": 4 * (apart + block),
    }
    for name, wanted in by_hand.items():
        assert figures[f"estimate/{name}_gib"].value == pytest.approx(wanted / GIB), name
    assert figures["estimate/total_gib"].value == pytest.approx(sum(by_hand.values()) / GIB + 28.4)


def test_whether_it_fits_is_said(tmp_path: Path) -> None:
    for devices, fsdp, verdict in ((8, 8, 1.0), (8, 1, 0.0)):
        asked = case("inspect", devices=devices, vendor=replace(NVIDIA, chip="A100 SXM 80GB"))
        asked.topology.parallel.fsdp = fsdp
        folder = Folder(tmp_path / f"run{fsdp}", asked)
        folder.tell(Name.ACCOUNT, ACCOUNT)
        report = build(folder.path)
        assert report.figures["estimate/chip_memory_gib"].value == 80
        assert report.figures["estimate/fits"].value == verdict
        assert ("does not fit" in " ".join(report.warnings)) == (verdict == 0.0)

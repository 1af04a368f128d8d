"""`framework=paddle` on two ranks of the host, as a user starts it: measured, trained to a target, resumed, refused."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Ended, run

from runner.core.events import Name, read_events

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(find_spec("paddle") is None, reason="Paddle is not installed"),
]
SHORT = (
    *("framework=paddle", "scale=tiny", "vendor=cpu", "measure=smoke", "data.workers=0", "topology=node"),
    *("topology.devices=2", "measure.warmup.max_steps=2", "measure.warmup.block_steps=1"),
    *("measure.window.min_s=0.001", "measure.window.min_steps=4", "measure.window.max_s=1"),
)
GPT = ("model=gpt3_345m", "model.train.batch_size=4", "model.train.gradient_accumulation_steps=4")
PIPELINE, TENSOR, FSDP = (f"topology.parallel.{axis}=2" for axis in ("pipeline", "tensor", "fsdp"))
CONVERGE = ("task=converge", "model.train.quality.every_samples=32", "model.train.quality.samples=33")


def told(ended: Ended, name: Name, rank: int = 0) -> list[dict[str, Any]]:
    path = ended.folder / "events" / f"rank{rank}.log"
    return [event.value for event in read_events(path)[0] if event.name == name]


@pytest.mark.parametrize("axis", [PIPELINE, TENSOR])
def test_ranks_that_share_a_batch_count_it_once(axis: str, tmp_path: Path) -> None:
    ended = run(tmp_path, *SHORT, *GPT, axis)
    assert ended.code == 0, ended.out
    for rank in (0, 1):
        for segment in told(ended, Name.SEGMENT_END, rank):
            assert segment["samples"] == 16 * segment["steps"]
            assert segment["tokens"] == 64 * segment["samples"]
    (report,) = ended.found
    assert report["figures"]["communication/bytes_per_step"]["value"] is None


def test_a_pipeline_trains_to_its_budget_and_goes_on(tmp_path: Path) -> None:
    words = (*SHORT, *GPT, PIPELINE, *CONVERGE)
    ended = run(tmp_path, *words, "model.train.max_train_samples=64")
    assert ended.code == 8, ended.out  # the target is far
    folder = ended.folder
    kept = torch.load(folder / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    names = {name.rpartition("transformer.")[2] for name in kept["state_dict"]}
    assert {"wte.weight", "h.0.attn.c_attn.weight", "h.1.mlp.c_proj.bias", "ln_f.weight"} <= names
    assert sorted(path.name for path in (folder / "checkpoints" / "paddle" / "step4").iterdir()) == [
        "rank0.ckpt",
        "rank1.ckpt",
    ]
    infer = ("model=gpt3_345m", "scale=tiny", "vendor=cpu", "measure=smoke", "data.workers=0", *GPT[1:], *CONVERGE)
    read = run(tmp_path / "read", *infer, f"model.weights={folder}", "model.train.max_train_samples=16")
    assert read.code in (0, 8), read.out
    (began,) = told(read, Name.INIT_EVALUATION)
    left = told(ended, Name.EVALUATE)[-1]
    assert began["quality"]["perplexity"] == pytest.approx(left["quality"]["perplexity"], rel=1e-4)


def test_a_layout_that_does_not_fit_exits_with_2(tmp_path: Path) -> None:
    ended = run(tmp_path, *SHORT, *GPT, PIPELINE, "model.architecture.layers=3")
    assert ended.code == 2 and "topology.parallel.pipeline=2 does not divide the 3 layers" in ended.out

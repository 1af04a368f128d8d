"""Megatron-core on ranks of the host, `megatron_host` answering for CUDA, trains what torch trains.

One rank, and two and four in every layout, against a bare loop of torch with the same global batch: losses, norms of
gradients, perplexities, the weights in the end; and a second part that goes on from a checkpoint.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import framework_run
import megatron_checks
import pytest
import torch
from framework_run import losses, run_cases

from models.weights import TRAINED

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(find_spec("megatron") is None, reason="megatron-core is not installed"),
]

LLAMA, GPT3 = "model=llama2_7b", "model=gpt3_345m"
CHECKS, HOST = str(Path(megatron_checks.__file__)), str(Path(megatron_checks.__file__).with_name("megatron_host.py"))
ALL = ("data.workers=0", "model.train.quality.samples=50")
"""Of 50 sequences in batches of 12, the last holds 2."""
LOSS, UPDATE, WEIGHT = 2e-6, 1e-7, 2e-5
"""Relative difference of losses; absolute ones of weights, of which the largest are about 1: after one step with the
same gradients, and after five, in which Adam divides gradients of nearly 0 by themselves."""


def recipe(data: int = 1) -> tuple[str, ...]:
    """48 sequences in each step, in four passes of 12 over all copies of the model."""
    return ("model.train.batch_size=12", f"model.train.gradient_accumulation_steps={4 // data}")


def megatron(model: str, *overrides: str, ranks: int = 1, data: int = 1) -> list[str]:
    nodes = ("topology=node", f"topology.devices={ranks}") if ranks > 1 else ()
    return [*ALL, "framework=megatron", model, *recipe(data), *nodes, *overrides]


def look(folder: Path, cases: dict[str, list[str]], *, ranks: int = 1) -> dict[str, list[dict[str, Any]]]:
    """What each rank found of each case."""
    run_cases(folder, cases, ranks=ranks, script=CHECKS)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in cases:
        files = [folder / f"{name}.rank{rank}.json" for rank in range(ranks)]
        assert all(file.exists() for file in files), (folder / "output.log").read_text()[-3000:]
        found[name] = [json.loads(file.read_text()) for file in files]
        assert not any("error" in one for one in found[name]), (name, found[name])
    return found


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """The original's, as they were in the end."""
    kept = torch.load(folder / f"{name}.ckpt", weights_only=True)["state_dict"]
    return {key.removeprefix(TRAINED): tensor.float() for key, tensor in kept.items()}


def same_weights(folder: Path, name: str, reference: Path) -> None:
    """Whether they are those of the bare loop in the end."""
    expected = "llama" if name.endswith("llama") else "gpt3"
    assert farthest(weights(folder, name), weights(reference, expected)) < WEIGHT


def farthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The greatest difference of two models' weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare loop of torch, and megatron-core on one rank."""
    folder = tmp_path_factory.mktemp("single")
    bare = {name: [*ALL, "framework=pytorch", model, *recipe()] for name, model in (("llama", LLAMA), ("gpt3", GPT3))}
    cases = {
        "one_llama": megatron(LLAMA),
        "one_gpt3": megatron(GPT3),
        "plain": megatron(GPT3, "framework.distributed_optimizer=false"),
        "recomputed": megatron(GPT3, "framework.activation_checkpointing=true"),
        "bf16": megatron(LLAMA, "precision=bf16"),
        "fp16": megatron(GPT3, "precision=fp16"),
        "overflow": megatron(GPT3, "precision=fp16", "check.overflow"),
    }
    look(folder, bare | cases)
    return folder


def of(folder: Path, name: str, rank: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.rank{rank}.json").read_text())
    return found


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Whether a case of megatron-core is the bare loop of torch."""
    assert [*found["losses"], *found["after"]] == pytest.approx(expected["losses"], rel=LOSS)
    assert found["norms"] == pytest.approx(expected["norms"], rel=1e-5)
    for own, theirs in zip(found["evaluated"], expected["evaluated"], strict=True):
        assert own["perplexity"] == pytest.approx(theirs["perplexity"], rel=LOSS)
    assert found["parameters"] == expected["parameters"]
    assert found["resumed"] == found["after"], "another part goes on bit by bit"
    assert found["state"] == {"kept": 7}
    assert found["begins"], "cut and gathered again, the weights are the original's"


@pytest.mark.parametrize(
    ("name", "reference"),
    [("one_llama", "llama"), ("one_gpt3", "gpt3"), ("plain", "gpt3"), ("recomputed", "gpt3")],
)
def test_one_rank_trains_what_torch_trains(single: Path, name: str, reference: str) -> None:
    found = of(single, name)
    same(found, of(single, reference))
    assert found["samples"] == 3 * 48
    same_weights(single, name, single)
    assert found["update"] < UPDATE, "torch's AdamW goes to the same place"
    assert found["clipped"] == pytest.approx(min(1.0, found["norms"][0]), rel=1e-5)
    assert found["probe"]["products"] == found["probe"]["parameters"] == found["probe"]["master_weights"] == ["float32"]


@pytest.mark.parametrize(("name", "narrow", "reference"), [("bf16", "bfloat16", "llama"), ("fp16", "float16", "gpt3")])
def test_mixed_precision_multiplies_narrow_copies(single: Path, name: str, narrow: str, reference: str) -> None:
    found, expected = of(single, name), of(single, reference)
    probe = found["probe"]
    assert probe["products"] == probe["parameters"] == [narrow]
    assert (probe["master_weights"], probe["gradient_scaler"]) == (["float32"], name == "fp16")
    assert found["losses"] == pytest.approx(expected["losses"][:3], rel=2e-3)
    assert found["losses"] != pytest.approx(expected["losses"][:3], rel=1e-8), "narrow products are seen"
    assert found["begins"], "the float32 weights are the original's, and not rounded before"
    assert found["resumed"] == found["after"], "the float32 weights are kept"


def test_an_overflow_skips_the_step_and_halves_the_scale(single: Path) -> None:
    found = of(single, "overflow")
    assert found["skipped"] == [True, True, True]
    assert found["moved"] is False
    assert found["scale"] == megatron_checks.HUGE / 2**3


LAYOUTS = {
    "tensor": ("topology.parallel.tensor=2",),
    "sequence": ("topology.parallel.tensor=2", "framework.sequence_parallel=true"),
    "pipeline": ("topology.parallel.pipeline=2",),
    "data": (),
    "data_plain": ("framework.distributed_optimizer=false",),
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ranks in every layout."""
    folder = tmp_path_factory.mktemp("two")
    cases = {
        f"{layout}_{name}": megatron(model, *overrides, ranks=2, data=2 if "data" in layout else 1)
        for layout, overrides in LAYOUTS.items()
        for name, model in (("llama", LLAMA), ("gpt3", GPT3))
    }
    cases["overflow"] = megatron(GPT3, "precision=fp16", "check.overflow", *LAYOUTS["pipeline"], ranks=2)
    cases["bf16"] = megatron(LLAMA, "precision=bf16", ranks=2, data=2)
    look(folder, cases, ranks=2)
    return folder


def joined(ranks: list[dict[str, Any]], copies: int) -> dict[str, Any]:
    """What all copies found together: the mean of their losses, the sum of their samples."""
    heads = ranks[:: len(ranks) // copies]
    means = {
        name: [sum(values) / copies for values in zip(*(one[name] for one in heads), strict=True)]
        for name in ("losses", "after", "resumed")
    }
    return {**ranks[0], **means, "samples": sum(one["samples"] for one in heads)}


@pytest.mark.parametrize("name", ["llama", "gpt3"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_ranks_train_what_one_trains(single: Path, two: Path, layout: str, name: str) -> None:
    copies = 2 if "data" in layout else 1
    ranks = [of(two, f"{layout}_{name}", rank) for rank in range(2)]
    found = joined(ranks, copies)
    same(found, of(single, name))
    assert found["samples"] == 3 * 48, "a batch that two ranks share counts once"
    same_weights(two, f"{layout}_{name}", single)
    if copies == 1:
        assert ranks[0]["losses"] == ranks[1]["losses"], "every stage is told"
    assert ranks[0]["norms"] == ranks[1]["norms"]


def test_an_overflow_of_one_stage_skips_the_step_of_both(two: Path) -> None:
    for rank in range(2):
        found = of(two, "overflow", rank)
        assert found["skipped"][0] is True


def test_spread_float32_weights_are_gathered_whole(single: Path, two: Path) -> None:
    ranks = [of(two, "bf16", rank) for rank in range(2)]
    assert [one["resumed"] == one["after"] for one in ranks] == [True, True]
    assert ranks[0]["begins"]
    kept = weights(two, "bf16")
    assert farthest(kept, weights(single, "bf16")) < 1e-2
    assert any(not torch.equal(one, one.bfloat16().float()) for one in kept.values()), "not the narrow copies"


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four ranks, two ways at once."""
    folder = tmp_path_factory.mktemp("four")
    both = ("topology.parallel.tensor=2", "topology.parallel.pipeline=2", "framework.sequence_parallel=true")
    cases = {
        "tensor_pipeline": megatron(GPT3, *both, ranks=4),
        "pipeline_data_llama": megatron(LLAMA, "topology.parallel.pipeline=2", ranks=4, data=2),
    }
    look(folder, cases, ranks=4)
    return folder


@pytest.mark.parametrize(
    ("name", "reference", "copies"), [("tensor_pipeline", "gpt3", 1), ("pipeline_data_llama", "llama", 2)]
)
def test_four_ranks_train_what_one_trains(single: Path, four: Path, name: str, reference: str, copies: int) -> None:
    found = joined([of(four, name, rank) for rank in range(4)], copies)
    same(found, of(single, reference))
    assert found["samples"] == 3 * 48
    same_weights(four, name, single)


def test_another_framework_goes_on_from_its_weights(single: Path, tmp_path: Path) -> None:
    found = {}
    for framework, script in (("pytorch", framework_run.__file__), ("megatron", HOST)):
        start = f"model.weights={single / 'one_gpt3.ckpt'}"
        folder = tmp_path / framework
        run_cases(folder, {"on": [*ALL, f"framework={framework}", GPT3, *recipe(), start]}, steps=2, script=script)
        found[framework] = losses(folder / "on")
    assert found["megatron"] == pytest.approx(found["pytorch"], rel=LOSS)
    assert found["pytorch"][0] < of(single, "gpt3")["losses"][0] - 0.1, "it has learnt"


def test_the_window_counts_and_loses_as_torchs(tmp_path: Path) -> None:
    """The published layouts' two halves, measured as a worker measures them."""
    cases = {"megatron": megatron(LLAMA, "topology.parallel.pipeline=2", ranks=2)}
    run_cases(tmp_path / "two", cases, ranks=2, script=HOST)
    run_cases(tmp_path / "one", {"torch": [*ALL, "framework=pytorch", LLAMA, *recipe()]})
    expected = losses(tmp_path / "one" / "torch")
    for rank in range(2):
        assert losses(tmp_path / "two" / "megatron", rank) == pytest.approx(expected, rel=LOSS)

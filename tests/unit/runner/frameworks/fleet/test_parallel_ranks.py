"""Two ranks of `framework=paddle` on the host: what one rank does with the same global batch, in every layout."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from paddle_ranks import AFTER, GROUPS, STEPS, run_ranks

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(find_spec("paddle") is None, reason="Paddle is not installed"),
]
TOLERANCE = 2e-5
"""Of losses, relative: sums over ranks have another order."""
BATCH, PART = 16, 4
LAYOUTS = {
    "data": ["topology.parallel.data=2"],
    "fsdp 1": ["topology.parallel.fsdp=2"],
    "fsdp 2": ["topology.parallel.fsdp=2", "framework.sharding_stage=2"],
    "tensor": ["topology.parallel.tensor=2"],
    "pipeline": ["topology.parallel.pipeline=2"],
}
SHARING = ("tensor", "pipeline")
"""Layouts whose ranks share a batch."""
MODELS = {
    "gpt3_345m": tuple(LAYOUTS),
    "llama1_7B": ("fsdp 2", "tensor", "pipeline"),
    "bert": ("data", "fsdp 2"),
}
CASES = [(model, layout) for model, layouts in MODELS.items() for layout in layouts]
DROPPED = "with dropout"
REFUSED = {
    "heads": ["model=gpt3_345m", "model.architecture.heads=1", *LAYOUTS["tensor"]],
    "layers": ["model=gpt3_345m", "model.architecture.layers=3", *LAYOUTS["pipeline"]],
    "bert": ["model=bert", *LAYOUTS["tensor"]],
}


def overrides(model: str, layout: str | None) -> list[str]:
    """The same parts of one global batch, in passes, on ranks or both: what is learnt is the mean of their means."""
    batches = 2 if layout is not None and layout not in SHARING else 1
    chosen = [
        f"model={model}",
        "framework=paddle",
        "data.workers=0",
        "model.train.quality.samples=33",  # the last batch is a part of one, and the ranks have unequal shares
        f"model.train.batch_size={PART}",
        f"model.train.gradient_accumulation_steps={BATCH // PART // batches}",
    ]
    return chosen if layout is None else [*chosen, "topology=node", "topology.devices=2", *LAYOUTS[layout]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    return run_ranks(tmp_path_factory.mktemp("one"), {model: overrides(model, None) for model in MODELS}, ranks=1)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    cases = {f"{model} {layout}": overrides(model, layout) for model, layout in CASES}
    cases[DROPPED] = [*overrides("gpt3_345m", "tensor"), "model.architecture.dropout=0.3"]
    node = ["framework=paddle", "data.workers=0", "topology=node", "topology.devices=2"]
    cases |= {name: [*node, *chosen] for name, chosen in REFUSED.items()}
    return run_ranks(tmp_path_factory.mktemp("two"), {GROUPS: [], **cases}, ranks=2)


@pytest.mark.parametrize(("model", "layout"), CASES)
def test_two_ranks_learn_as_one(model: str, layout: str, alone: Any, together: Any) -> None:
    (one,), two = alone[model], together[f"{model} {layout}"]
    assert all("error" not in rank for rank in two), two
    for rank in two:
        assert rank["same_weights"] and rank["parameters"] == one["parameters"]
        assert rank["samples"] == STEPS * BATCH // (1 if layout in SHARING else 2)
        assert rank["before"] == pytest.approx(one["before"], rel=TOLERANCE)
        assert rank["quality"] == pytest.approx(one["quality"], rel=1e-4)
        assert rank["norm"] == pytest.approx(one["norm"], rel=1e-5)
    if layout in SHARING:
        assert two[0]["losses"] == two[1]["losses"]
    else:
        assert two[0]["losses"] != two[1]["losses"]  # each rank's is of its own share
    mean = np.mean([rank["losses"] for rank in two], axis=0)
    # Ranks of BERT have unlike numbers of masked words: their mean is one of means, as in PyTorch.
    assert mean.tolist() == pytest.approx(one["losses"], rel=1e-3 if model == "bert" else TOLERANCE)


@pytest.mark.parametrize(("model", "layout"), CASES)
def test_what_was_saved_goes_on_alike(model: str, layout: str, together: Any) -> None:
    for rank in together[f"{model} {layout}"]:
        assert rank["state"] == {"steps": STEPS}
        assert len(rank["after"]) == AFTER and rank["resumed"] == rank["after"]


def test_dropout_leaves_what_both_tensor_ranks_have_alike(together: Any) -> None:
    first, second = together[DROPPED]
    assert "error" not in first and "transformer.ln_f.weight" in first["on_both"]
    assert first["on_both"] == second["on_both"]
    assert first["losses"] == second["losses"]


def test_layouts_that_do_not_fit_name_the_numbers(together: Any) -> None:
    for name, told in (
        ("heads", "topology.parallel.tensor=2 does not divide the 1 heads"),
        ("layers", "topology.parallel.pipeline=2 does not divide the 3 layers; these do: 3"),
        ("bert", "BertPaddle has neither a tensor split nor stages"),
    ):
        for rank in together[name]:
            assert rank["exit_code"] == 2 and told in rank["error"], rank


def test_collectives_of_the_host(together: Any) -> None:
    for rank, told in enumerate(together[GROUPS]):
        assert told["half"] == [4.0] * 3  # 1.5 + 2.5: gloo's own sum of float16 is infinite
        assert told["sum"] == [3.0, 6.0]  # times 1 on the first rank, times 2 on the second
        assert told["sum_gradient"] == [3.0, 3.0]
        assert told["rows"] == [[0.0, 1.0], [10.0, 11.0], [10.0, 11.0]]
        own = [[1.0, 1.0], *[[0.0, 0.0]] * 3] if rank == 0 else [[0.0, 0.0], [2.0, 2.0], *[[0.0, 0.0]] * 2]
        assert told["rows_gradient"] == own


def test_cross_entropy_over_shares_of_a_vocabulary(together: Any) -> None:
    scores = np.linspace(-1, 2, 24).reshape(3, 8)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = [-math.log(shares[0, 1]), -math.log(shares[1, 6]), 0.0]
    gradient = shares.copy()
    gradient[0, 1] -= 1
    gradient[1, 6] -= 1
    gradient[2] = 0
    for rank, told in enumerate(together[GROUPS]):
        assert told["entropy"] == pytest.approx(expected, rel=1e-5)
        own = gradient[:, rank * 4 : rank * 4 + 4]
        assert np.array(told["entropy_gradient"]) == pytest.approx(own, rel=1e-4, abs=1e-6)


def test_the_norm_counts_every_gradient_once(together: Any) -> None:
    """3 on one rank and 4 on the other are parts; 12 is on both."""
    for rank, told in enumerate(together[GROUPS]):
        assert told["norms"] == {"tensor": 13.0, "sharding": 5.0, "pipe": 13.0}
        assert told["clipped"] == [[1.5 + rank / 2], [6.0]]  # to 6.5, half of 13


def test_a_step_is_skipped_on_every_rank_or_on_none(together: Any) -> None:
    assert [told["skipped"] for told in together[GROUPS]] == [True, True]  # only the second has found an overflow


def test_tensors_are_dealt_out_evenly(together: Any) -> None:
    """6 to the first, 4 and then 3 to the second, 1 to the first again: 7 each."""
    for told in together[GROUPS]:
        assert told["owners"] == {"b": 0, "d": 1, "c": 1, "a": 0}


def test_each_type_of_device_is_told_in_paddles_words(together: Any) -> None:
    alone = {"PADDLE_TRAINER_ID": "0", "PADDLE_TRAINERS_NUM": "1"}
    plugin = {"PADDLE_DISTRI_BACKEND": "xccl", "PADDLE_XCCL_BACKEND": "iluvatar_gpu"}
    for told in together[GROUPS]:
        assert told["places"] == {
            "gpu": {**alone, "FLAGS_selected_gpus": "3"},
            "xpu": {**alone, "FLAGS_selected_xpus": "3"},
            "iluvatar_gpu": {**alone, **plugin, "FLAGS_selected_iluvatar_gpus": "3"},
        }

"""The parts of a model: they make up the whole, and a shallow model stands for a deep one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from account_doubles import Mlp, account
from language_samples import recipe
from torch import nn
from torch.nn.functional import cross_entropy
from zoo import model_class

from models.costs import shortened
from models.costs.account import Account, count
from models.costs.temporaries import temporary_bytes
from models.recipe import Recipe


def counted(model: str, **architecture: int) -> Account:
    made = recipe(model)
    made.architecture |= architecture
    return _count(made)


def _count(made: Recipe) -> Account:
    kind = model_class(made.name)
    return count(kind, made, weights_dtype="float32", autocast_dtype="bfloat16", batch_size=2)


@pytest.mark.parametrize("model", ["llama3_8B", "gpt3_13B", "bert", "resnet50", "deepseek_moe"])
def test_parts_make_up_the_whole(model: str) -> None:
    costs = counted(model)
    parts = [one for one in (costs.units.before, *costs.units.blocks, costs.units.behind) if one is not None]

    def total(name: str) -> float:
        return float(sum(one.count * getattr(one, name) for one in parts))

    assert total("parameter_bytes") == costs.parameter_bytes
    assert total("gradient_bytes") == costs.gradient_bytes
    assert total("weight_copy_bytes") == costs.weight_copy_bytes
    assert total("optimizer_state_bytes") == costs.optimizer_state_bytes
    assert total("forward_flops_per_sample") == pytest.approx(costs.flops_forward_per_sample)
    assert total("activation_bytes_per_sample") == pytest.approx(costs.saved_activation_bytes_per_sample)


def test_a_tied_head_is_told_apart_and_counted_once() -> None:
    """Tiny GPT-3 ties 1,024 x 128 weights; Llama ties none."""
    tied = counted("gpt3_13B").units.tied
    assert tied.parameter_bytes == 4 * 1024 * 128
    assert tied.activation_bytes_per_sample == 0
    assert counted("llama3_8B").units.tied.parameter_bytes == 0


def test_a_llama_block_by_hand() -> None:
    """Tiny: hidden 128, 4 heads of 32, 2 for keys and values, 344 inside, 64 tokens."""
    units = counted("llama3_8B").units
    weights = 2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 344
    assert sum(one.count for one in units.blocks) == 2
    block = units.blocks[-1]
    assert block.parameter_bytes == 4 * (weights + 2 * 128)
    assert block.split_share == pytest.approx(weights / (weights + 256))
    assert block.input_bytes_per_sample == 4 * 64 * 128
    assert block.forward_flops_per_sample == 2 * 64 * weights + 2 * 2 * 4 * 64 * 64 * 32
    # Above the diagonal: 63 / 128 of the pairs.
    assert block.skipped_flops_per_sample == 2 * 2 * 4 * 64 * 64 * 32 * 63 / 128
    # Selective: queries, values, the gate, what comes down, each in bfloat16; attention and its float32 sums.
    assert block.kept_bytes_per_sample == 2 * 64 * (128 + 64 + 344 + 128 + 128) + 4 * 64 * 4
    assert block.whole_kept_bytes_per_sample == 2 * 64 * 128
    assert units.in_line and units.tensor_divides is not None


def test_a_network_without_blocks_is_all_before_them() -> None:
    units = account(Mlp).units
    assert (units.blocks, units.behind, units.in_line) == ((), None, False)
    assert units.before.parameter_bytes == 4 * 325


def test_the_loss_holds_two_gradients_of_its_scores() -> None:
    network = nn.Linear(4, 100, bias=False)
    scores = network(torch.ones(8, 4))
    loss = cross_entropy(scores.float(), torch.zeros(8, dtype=torch.int64))
    assert temporary_bytes(network, [scores], loss) == 2 * 4 * 8 * 100
    assert network.weight.grad is None, "the count ends before the network"


class TestShortened:
    @pytest.mark.parametrize("model", ["llama3_8B", "gpt3_13B", "deepseek_moe"])
    def test_a_shallow_model_tells_exactly_what_a_deep_one_costs(self, model: str) -> None:
        deep = recipe(model)
        deep.architecture["layers"] = shortened.DEEP
        seen: list[int] = []

        def counting(made: Recipe) -> Account:
            seen.append(made.architecture["layers"])
            return _count(made)

        short = shortened.count_deep(deep, counting)
        # Which experts tokens go to depends on weights: two blocks of DeepSeek's do not cost the same.
        assert max(seen) == (shortened.DEEP if model == "deepseek_moe" else shortened.FEW + 1)
        full = _count(deep)
        assert short.units == full.units
        assert short.parameters == full.parameters
        assert short.flops_per_sample == pytest.approx(full.flops_per_sample, rel=1e-12)
        assert short.saved_activation_bytes_per_sample == pytest.approx(full.saved_activation_bytes_per_sample)
        assert short.minimum_bytes_per_sample == pytest.approx(full.minimum_bytes_per_sample, rel=1e-12)

    def test_what_does_not_grow_block_by_block_is_counted_in_full(self) -> None:
        deep = recipe("llama3_8B")
        deep.architecture["layers"] = shortened.DEEP
        few = counted("llama3_8B", layers=shortened.FEW)
        seen: list[int] = []

        def odd(made: Recipe) -> Account:
            seen.append(made.architecture["layers"])
            return replace(few, units=replace(few.units, in_line=False))

        shortened.count_deep(deep, odd)
        assert seen[-1] == shortened.DEEP

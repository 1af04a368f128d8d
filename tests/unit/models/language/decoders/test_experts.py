"""Mixtures of experts: grouped products against a loop over tokens, balance by hand, FLOPs of the chosen experts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from language_samples import recipe
from language_trainables import build
from no_waiting import NoWaiting
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import MixtralForCausalLM
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from models.costs.flops import ModelFlops
from models.language.decoders.experts import _one_by_one
from models.language.decoders.mixtral import Mixtral, balancing_loss

MIXTURES = ["mixtral_8x7B", "deepseek_moe"]
GROUPED = pytest.mark.skipif(
    not hasattr(torch.nn.functional, "grouped_mm"), reason=f"torch {torch.__version__} has no grouped product"
)


def tiny(model: str = "mixtral_8x7B") -> Any:
    torch.manual_seed(0)
    return build(model)


def test_the_network_is_transformers_own() -> None:
    trainable = tiny()
    other = MixtralForCausalLM._from_config(
        trainable.network.config, attn_implementation="eager", experts_implementation="eager"
    )
    other.load_state_dict(trainable.network.state_dict())
    batch = trainable.synthetic_batch(2)
    networks = (trainable.network, other)
    for network in networks:
        logits = network(input_ids=batch["input_ids"], use_cache=False).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten()).backward()
    for (name, mine), theirs in zip(networks[0].named_parameters(), networks[1].parameters(), strict=True):
        assert mine.grad is not None, name
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)


def by_hand(scores: list[list[float]], per_token: int) -> float:
    """The balancing loss of one layer, token by token."""
    probabilities = torch.tensor(scores, dtype=torch.float64).softmax(-1).tolist()
    chosen: Counter[int] = Counter()
    for row in scores:
        chosen.update(sorted(range(len(row)), key=lambda expert: -row[expert])[:per_token])
    experts, tokens = len(scores[0]), len(scores)
    return experts * sum(
        chosen[expert] / (tokens * per_token) * sum(row[expert] for row in probabilities) / tokens
        for expert in range(experts)
    )


def test_balance_is_counted_by_hand_and_as_transformers_does() -> None:
    layers = [torch.randn(50, 8) + torch.arange(8) * skew for skew in (0.0, 0.5)]
    expected = [by_hand(layer.tolist(), 3) for layer in layers]
    assert float(balancing_loss(layers, 3)) == pytest.approx(sum(expected), rel=1e-5)
    theirs: Any = load_balancing_loss_func((layers[1],), 8, 3)
    assert expected[1] == pytest.approx(float(theirs) / 3, rel=1e-5)
    assert float(balancing_loss([torch.eye(8).repeat(4, 1)], 1)) == pytest.approx(1.0)
    assert float(balancing_loss([torch.tensor([[90.0, 0, 0, 0]]).repeat(4, 1)], 1)) == pytest.approx(4.0)


@pytest.mark.parametrize("model", MIXTURES)
def test_loss_holds_every_layers_balance(model: str) -> None:
    trainable = tiny(model).eval()
    batch = trainable.synthetic_batch(2)
    output = trainable.network(input_ids=batch["input_ids"], output_router_logits=True)
    assert len(output.router_logits) == 2
    assert output.router_logits[0].shape == (128, trainable.sizes.experts)
    balance = sum(by_hand(layer.tolist(), trainable.sizes.experts_per_token) for layer in output.router_logits)
    entropy = -output.logits.double().log_softmax(-1).gather(-1, batch["targets"][:, :, None]).mean()
    assert trainable.loss(batch).item() == pytest.approx(entropy.item() + trainable.sizes.balance * balance, rel=1e-5)
    assert trainable.sizes.balance == {"mixtral_8x7B": 1e-2, "deepseek_moe": 1e-3}[model]


def weights_of_a_token(model: str, sizes: Any) -> int:
    """Weights of one layer that one token is multiplied with."""
    head_size = sizes.hidden // sizes.heads
    attention = 2 * sizes.hidden**2 + 2 * sizes.hidden * sizes.key_value_heads * head_size
    experts = sizes.experts_per_token * 3 * sizes.hidden * sizes.intermediate
    shared = 3 * sizes.hidden * sizes.shared_intermediate if model == "deepseek_moe" else 0
    return int(attention + sizes.hidden * sizes.experts + experts + shared)


@pytest.mark.parametrize("scale", ["tiny", "reference"])
@pytest.mark.parametrize("model", MIXTURES)
def test_operations_are_those_of_the_chosen_experts(model: str, scale: str) -> None:
    with torch.device("meta"), sdpa_kernel(SDPBackend.MATH):
        trainable: Any = build(model, scale, layers=2)
        batch = trainable.synthetic_batch(3)
        with ModelFlops() as forward:
            loss = trainable.loss(batch)
        with ModelFlops() as backward:
            loss.backward()
    sizes, length = trainable.sizes, trainable.sizes.sequence_length
    weights = sizes.layers * weights_of_a_token(model, sizes) + sizes.hidden * sizes.padded_vocabulary
    expected = 3 * (2 * length * weights + 4 * sizes.layers * sizes.hidden * length**2)
    assert forward.get_total_flops() == expected
    assert backward.get_total_flops() == 2 * expected


@GROUPED
@pytest.mark.parametrize("model", MIXTURES)
def test_nothing_waits_for_the_device(model: str) -> None:
    trainable = tiny(model)
    batch = trainable.synthetic_batch(2)
    with NoWaiting():
        trainable.loss(batch).backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_expert_after_the_other_multiplies_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ends = torch.tensor([3, 3, 8, 10], dtype=torch.int32)  # the second expert has nobody
    rows, weights = torch.randn(10, 16).to(dtype).requires_grad_(), torch.randn(4, 16, 8).to(dtype).requires_grad_()
    product = _one_by_one(rows, weights, offs=ends)
    expected = torch.stack([row @ weights[int((ends <= place).sum())] for place, row in enumerate(rows)])
    torch.testing.assert_close(product, expected)
    gradients = torch.autograd.grad(product.square().sum(), (rows, weights))
    assert not gradients[1][1].any() and gradients[1][0].any()


class Types(TorchDispatchMode):
    """Types of the first factor of grouped products, and of the results of the routers' softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped: set[torch.dtype] = set()
        self.routed: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket is torch.ops.aten._grouped_mm:
            self.grouped |= {args[0].dtype, args[1].dtype}
        if func.overloadpacket is torch.ops.aten.topk:
            self.routed.add(args[0].dtype)
        return out


@GROUPED
@pytest.mark.parametrize("model", MIXTURES)
def test_autocast_reaches_the_experts(model: str) -> None:
    trainable = tiny(model)
    with torch.autocast("cpu", dtype=torch.bfloat16), Types() as seen:
        trainable.network(input_ids=trainable.synthetic_batch(2)["input_ids"])
    assert seen.grouped == {torch.bfloat16}
    assert seen.routed == {torch.float32}


def test_the_recipes_mixture_is_a_loop_over_tokens() -> None:
    """One layer's feed-forward part of `deepseek_moe`, written out."""
    layer = tiny("deepseek_moe").network.model.layers[0].mlp.eval()
    hidden = torch.randn(1, 20, 128)

    def gated(x: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        gate, up = (gate_up @ x).chunk(2)
        return down @ (gate * gate.sigmoid() * up)

    experts = layer.routed.experts
    rows = []
    for x in hidden[0]:
        scores = layer.routed.gate.weight @ x
        best = scores.argsort(descending=True)[:3]
        shares = scores[best].exp() / scores[best].exp().sum()
        mixed = sum(
            s * gated(x, experts.gate_up_proj[e], experts.down_proj[e]) for s, e in zip(shares, best, strict=True)
        )
        rows.append(mixed + gated(x, layer.gate_up_proj.weight, layer.down_proj.weight))
    torch.testing.assert_close(layer(hidden)[0], torch.stack(rows), rtol=1e-4, atol=1e-6)


def test_dropout_is_before_every_addition() -> None:
    torch.manual_seed(0)
    trainable: Any = build("deepseek_moe", dropout=0.5, layers=1)
    layer = trainable.network.model.layers[0]
    seen: dict[str, Tensor] = {}
    for name, module in (("embedding", trainable.network.model.embed_tokens), ("mlp", layer.mlp)):
        module.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
    layer.self_attn.o_proj.register_forward_hook(lambda _, __, output: seen.update(attention=output))
    ids = trainable.synthetic_batch(4)["input_ids"]
    for training, zeros in ((True, 0.5), (False, 0.0)):
        trainable.train(training)
        trainable.network(input_ids=ids)
        assert {name: float((value == 0).float().mean()) for name, value in seen.items()} == pytest.approx(
            dict.fromkeys(seen, zeros), abs=0.02
        )
    assert len(seen) == 3 and layer.self_attn.attention_dropout == 0.5


def test_parameters_of_the_recipe() -> None:
    with torch.device("meta"):
        network = build("deepseek_moe", "reference").network
    layer = 2 * 5120**2 + 2 * 5120 * 1024 + 128 * 5120 + (128 * 1024 + 2048) * 3 * 5120 + 2 * 5120
    assert sum(one.numel() for one in network.parameters()) == 14 * layer + 2 * 32000 * 5120 + 5120 == 29_843_932_160


def test_a_mixture_is_evaluated_without_its_balancing_loss() -> None:
    trainable = tiny().eval()
    assert isinstance(trainable, Mixtral)
    batch = trainable.synthetic_batch(2)
    trainable.evaluate(batch)
    logits = trainable.logits(batch).double().log_softmax(-1)
    entropy = -logits.gather(-1, batch["targets"][:, :, None]).mean()
    assert float(trainable.metrics["perplexity"].compute()) == pytest.approx(entropy.exp().item(), rel=1e-5)


def test_the_recipes_steps_are_those_of_its_multi_step_decay() -> None:
    """Warm-up of 2,000 steps; of the 3,000 up to half the samples 0.6, 0.3 and 0.1 at 1, 1/sqrt(10), 1/10."""
    training = recipe("deepseek_moe", "reference").training
    assert training.schedule.milestones == (2000 + 0.6 * 3000, 2000 + 0.9 * 3000)
    assert training.schedule.gammas == pytest.approx((10**-0.5, 0.1), rel=1e-4)
    assert 16 * training.batch_size * training.gradient_accumulation_steps == 512

"""Decoders that are served: their scores, prompts and checkpoints; ChatGLM2 by a formulation of its own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from language_samples import recipe, sample_spec
from torch import Tensor
from torch.nn.functional import rms_norm, silu

from models.datasets.base import DataError
from models.language.decoders.chatglm2 import Chatglm2
from models.language.decoders.gpt2 import Gpt2
from models.language.decoders.llama import Llama
from models.weights import load_weights


@pytest.fixture(scope="module")
def chatglm() -> Chatglm2:
    torch.manual_seed(0)
    return Chatglm2(recipe("chatglm2_6b")).eval()


def test_chatglm2_has_its_published_parameters() -> None:
    with torch.device("meta"):
        network = Chatglm2(recipe("chatglm2_6b", "reference")).network
    assert sum(one.numel() for one in network.parameters()) == 6_243_584_000


def published(model: Chatglm2) -> dict[str, Tensor]:
    """Random weights under the names and in the shapes of the published checkpoint."""
    sizes = model.sizes
    shared = 2 * sizes.key_value_heads * sizes.hidden // sizes.heads
    shapes = {"embedding.word_embeddings.weight": (1024, 128), "output_layer.weight": (1024, 128)}
    shapes |= {"encoder.final_layernorm.weight": (128,), "rotary_pos_emb.inv_freq": (8,)}
    for number in range(sizes.layers):
        layer = f"encoder.layers.{number}"
        shapes |= {f"{layer}.{name}.weight": (128,) for name in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {
            f"{layer}.self_attention.query_key_value.weight": (128 + shared, 128),
            f"{layer}.self_attention.query_key_value.bias": (128 + shared,),
            f"{layer}.self_attention.dense.weight": (128, 128),
            f"{layer}.mlp.dense_h_to_4h.weight": (2 * 344, 128),
            f"{layer}.mlp.dense_4h_to_h.weight": (128, 344),
        }
    generator = torch.Generator().manual_seed(3)
    return {f"transformer.{name}": torch.randn(shape, generator=generator) / 8 for name, shape in shapes.items()}


def turned(one: Tensor, share: float = 0.5) -> Tensor:
    """RoPE on the first half of a head's dimensions, each two neighbours one complex number (heads, length, size)."""
    size = int(one.shape[-1] * share)
    pairs = torch.view_as_complex(one[..., :size].reshape(*one.shape[:-1], -1, 2).contiguous())
    angles = torch.outer(torch.arange(one.shape[-2]), 10000.0 ** (-torch.arange(0, size, 2) / size))
    rotated = torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)
    return torch.cat([rotated, one[..., size:]], dim=-1)


def by_hand(weights: dict[str, Tensor], ids: Tensor) -> Tensor:
    """GLM2 as its authors describe it, for one row: two layers, 4 heads, 2 groups of keys and values of size 32."""

    def of(name: str) -> Tensor:
        return weights[f"transformer.{name}"]

    hidden = of("embedding.word_embeddings.weight")[ids]
    mask = torch.full((len(ids), len(ids)), -math.inf).triu(1)
    for number in range(2):
        layer = f"encoder.layers.{number}"
        normed = rms_norm(hidden, (128,), of(f"{layer}.input_layernorm.weight"), 1e-5)
        fused = f"{layer}.self_attention.query_key_value"
        mixed = normed @ of(f"{fused}.weight").T + of(f"{fused}.bias")
        query, key, value = (part.view(len(ids), -1, 32).transpose(0, 1) for part in mixed.split([128, 64, 64], dim=1))
        query, key = turned(query), turned(key).repeat_interleave(2, dim=0)
        attended = (query @ key.transpose(1, 2) / 32**0.5 + mask).softmax(dim=-1) @ value.repeat_interleave(2, dim=0)
        hidden = hidden + attended.transpose(0, 1).reshape(len(ids), 128) @ of(f"{layer}.self_attention.dense.weight").T
        normed = rms_norm(hidden, (128,), of(f"{layer}.post_attention_layernorm.weight"), 1e-5)
        gate, up = (normed @ of(f"{layer}.mlp.dense_h_to_4h.weight").T).chunk(2, dim=-1)
        hidden = hidden + (silu(gate) * up) @ of(f"{layer}.mlp.dense_4h_to_h.weight").T
    return rms_norm(hidden, (128,), of("encoder.final_layernorm.weight"), 1e-5) @ of("output_layer.weight").T


def test_chatglm2_computes_what_its_checkpoint_means(chatglm: Chatglm2) -> None:
    weights = published(chatglm)
    load_weights(chatglm.network, chatglm.initial_weights(weights), path=Path("checkpoint"))
    ids = torch.randint(1024, (1, 24))
    with torch.no_grad():
        (scores,) = chatglm.served()(ids)
    torch.testing.assert_close(scores[0], by_hand(weights, ids[0]), atol=2e-5, rtol=1e-4)


def test_perplexity_is_as_in_training() -> None:
    torch.manual_seed(0)
    model = Llama(recipe("llama2_7b")).eval()
    data = model.evaluation_data(sample_spec())
    batch = model.collate([data[index] for index in range(4)])
    with torch.no_grad():
        outputs = model.served()(*model.inputs(batch))
        logits = model.network(input_ids=batch["input_ids"], use_cache=False).logits
    model.score(outputs, batch)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten())
    assert float(model.metrics["perplexity"].compute()) == pytest.approx(math.exp(float(losses)), rel=1e-5)


def test_prompts_are_beginnings_of_running_text() -> None:
    for kind, name in ((Llama, "llama2_7b"), (Gpt2, "gpt2")):
        model = kind(recipe(name))
        data = model.prompt_data(sample_spec())
        batch = model.collate([data[index] for index in range(2)])
        assert model.prompts(batch, 10).tolist() == batch["input_ids"][:, :10].tolist()
        with pytest.raises(ValueError, match="prompts of 65 tokens, but the data's sequences have 64"):
            model.prompts(batch, 65)
        assert model.longest == 64


def test_hugging_faces_gpt2_and_llama_fit() -> None:
    case = recipe("gpt2")
    case.architecture["vocabulary_multiple"] = 1
    model = Gpt2(case)
    own = model.network.state_dict()
    theirs = {name.removeprefix("transformer."): one + 1 for name, one in own.items() if name != "lm_head.weight"}
    theirs |= {"h.0.attn.bias": torch.ones(1, 1, 64, 64), "h.0.attn.masked_bias": torch.tensor(-1e4)}
    load_weights(model.network, model.initial_weights(theirs), path=Path("gpt2"))
    assert torch.equal(model.network.state_dict()["transformer.h.0.attn.c_attn.bias"], theirs["h.0.attn.c_attn.bias"])
    llama = Llama(recipe("llama2_7b"))
    weights = {**llama.network.state_dict(), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(16)}
    load_weights(llama.network, llama.initial_weights(weights), path=Path("llama"))
    with pytest.raises(DataError, match="1 missing"):
        del weights["lm_head.weight"]
        load_weights(llama.network, llama.initial_weights(weights), path=Path("llama"))

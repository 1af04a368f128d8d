"""Published recipes of decoders: global batches, schedules, initial weights, sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from language_samples import recipe
from language_trainables import build
from transformers import Qwen3ForCausalLM
from zoo import MODELS, model_class

from models.language.decoders.llama import Llama
from models.language.decoders.text_decoder import TextDecoder
from models.schedules import rate_factor

TOKENS = {  # of one optimizer step on the published number of devices
    "aquila2_7b": 8 * 9 * 2048,
    "deepseek_moe": 512 * 4096,
    "gpt3_13B": 2**21,
    "gpt3_345m": 512 * 1024,
    "gpt3_6.7B": 2**21,
    "gpt3_857m": 512 * 2048,
    "llama1_13B": 2**22,
    "llama1_7B": 2**22,
    "llama2_7b": 8 * 4096,
    "llama3_8B": 32 * 8192,
    "mixtral_8x7B": 256 * 4096,
    "qwen3_8B": 32 * 4096,
}


def test_every_text_decoder_has_a_row() -> None:
    assert set(TOKENS) <= {model for model in MODELS if issubclass(model_class(model), TextDecoder)}


@pytest.mark.parametrize("model", TOKENS)
def test_tokens_of_a_step(model: str) -> None:
    case = recipe(model, "reference")
    sequences = case.training.batch_size * case.training.gradient_accumulation_steps
    devices = 16 if model == "deepseek_moe" else 8
    assert devices * sequences * case.architecture["sequence_length"] == TOKENS[model]


@pytest.mark.parametrize(
    ("model", "step", "lr"),
    [
        ("aquila2_7b", 339, 1.1e-5),
        ("aquila2_7b", 678, 2e-6),
        ("llama1_7B", 99, 1.5e-5),
        ("llama1_13B", 238419, 3e-5),
        ("gpt3_6.7B", 99, 100 / 188 * 1.2e-4),
        ("gpt3_13B", 130000, 1.2e-5),
        ("gpt3_345m", 430, 6e-5),
        ("gpt3_857m", 430000, 6e-6),
        ("llama3_8B", 255, 2.5e-4),
        ("mixtral_8x7B", 320000, 1e-5),
        ("deepseek_moe", 999, 2.85e-5),
        ("deepseek_moe", 3799, 5.7e-5),
        ("deepseek_moe", 4699, 5.7e-5 * 10**-0.5),
        ("deepseek_moe", 9999, 5.7e-6),
    ],
)
def test_learning_rate_at_a_step(model: str, step: int, lr: float) -> None:
    """Steps count from 0: step 99 is the hundredth."""
    training = recipe(model, "reference").training
    assert training.optimizer.lr * rate_factor(training.schedule, step) == pytest.approx(lr, rel=2e-3)


@pytest.mark.parametrize(("model", "std"), [("llama1_7B", 0.02), ("mixtral_8x7B", 0.02), ("llama3_8B", 0.02)])
def test_what_writes_onto_the_residual_stream_begins_smaller(model: str, std: float) -> None:
    torch.manual_seed(0)
    trainable: Any = build(model)
    scaled = std / 2 if trainable.sizes.scaled_residuals else std  # two layers: sqrt(2 x 2) = 2
    assert trainable.sizes.scaled_residuals == (model != "llama3_8B")
    for name, parameter in trainable.network.named_parameters():
        if parameter.ndim > 1:
            expected = scaled if "o_proj" in name or "down_proj" in name else std
            assert parameter.std().item() == pytest.approx(expected, rel=0.08), name


def test_initial_weights_of_the_small_gpts() -> None:
    torch.manual_seed(0)
    network = build("gpt3_345m", initial_std=0.006).network
    assert network.transformer.h[0].mlp.c_fc.weight.std().item() == pytest.approx(0.006, rel=0.05)
    assert network.transformer.h[0].mlp.c_proj.weight.std().item() == pytest.approx(0.003, rel=0.05)


def test_more_positions_than_tokens() -> None:
    with torch.device("meta"):
        network: Any = build("gpt3_345m", "reference").network
    assert network.transformer.wpe.weight.shape == (2048, 512)
    assert sum(one.numel() for one in network.parameters()) == 12 * (12 * 512**2 + 13 * 512) + (50304 + 2048 + 2) * 512


def test_qwen3_is_transformers_own() -> None:
    torch.manual_seed(0)
    trainable: Any = build("qwen3_8B", head_size=48)
    other = Qwen3ForCausalLM._from_config(trainable.network.config, attn_implementation="eager")
    other.load_state_dict(trainable.network.state_dict())
    assert trainable.network.model.layers[0].self_attn.q_norm.weight.shape == (48,)
    ids = trainable.synthetic_batch(2)["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(trainable.network(input_ids=ids).logits, other(input_ids=ids).logits)


@pytest.mark.parametrize(("model", "base"), [("llama1_7B", 1e4), ("llama3_8B", 5e5), ("mixtral_8x7B", 1e6)])
def test_rotary_frequencies(model: str, base: float) -> None:
    trainable: Any = build(model)
    assert isinstance(trainable, Llama)
    expected = base ** -(torch.arange(0, 32, 2) / 32)
    torch.testing.assert_close(trainable.network.model.rotary_emb.inv_freq, expected)

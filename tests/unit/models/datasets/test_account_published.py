"""Large models on the meta device, against published figures and closed formulas."""

from __future__ import annotations

import psutil
import pytest
import torch
from account_doubles import Double, account, recipe
from torch import Tensor, nn
from torch.nn import functional as F

from models.datasets.base import Batch
from models.training import Optimizer


def test_resnet50() -> None:
    # torchvision publishes 25,557,032 parameters and 4.089 G multiply-adds (ResNet50_Weights).
    from torchvision.models import ResNet50_Weights, resnet50

    class ImageNet(Double):
        input_shape = (3, 224, 224)

        def build(self) -> nn.Module:
            return resnet50()

    published = ResNet50_Weights.IMAGENET1K_V1.meta
    costs = account(ImageNet, batch_size=2)
    assert costs.parameters == published["num_params"] == 25_557_032
    assert costs.flops_forward_per_sample == pytest.approx(2 * published["_ops"] * 1e9, rel=2e-4)
    assert costs.flops_forward_per_sample == pytest.approx(8.18e9, rel=1e-3)
    first_layer = 2 * 112 * 112 * 64 * 3 * 7 * 7
    assert costs.flops_per_sample == 3 * costs.flops_forward_per_sample - first_layer


def test_bert_large_is_the_closed_formula() -> None:
    layers, hidden, sequence, vocabulary = 24, 1024, 512, 30522

    class Bert(Double):
        def build(self) -> nn.Module:
            from transformers import BertConfig, BertForMaskedLM

            config = BertConfig(
                num_hidden_layers=layers,
                hidden_size=hidden,
                num_attention_heads=16,
                intermediate_size=4 * hidden,
                vocab_size=vocabulary,
            )
            return BertForMaskedLM(config)

        def loss(self, batch: Batch) -> Tensor:
            return self.network(batch["x"]).logits.sum()

        def synthetic_batch(self, batch_size: int) -> Batch:
            return {"x": torch.randint(vocabulary, (batch_size, sequence)), "count": batch_size}

    costs = account(Bert, batch_size=1)
    block = 4 * hidden**2 + 2 * hidden * 4 * hidden
    head = hidden**2 + hidden * vocabulary
    attention = layers * 2 * 2 * sequence**2 * hidden
    forward = 2 * (layers * block + head) * sequence + attention
    assert costs.flops_forward_per_sample == forward
    assert costs.flops_per_sample == 3 * forward
    assert costs.parameters == 335_174_458


def test_llama_2_7b_needs_no_memory_and_little_time() -> None:
    layers, hidden, inner, vocabulary, sequence = 32, 4096, 11008, 32000, 4096

    class Llama(Double):
        def build(self) -> nn.Module:
            from transformers import LlamaConfig, LlamaForCausalLM

            config = LlamaConfig(
                num_hidden_layers=layers,
                hidden_size=hidden,
                intermediate_size=inner,
                num_attention_heads=32,
                vocab_size=vocabulary,
                max_position_embeddings=sequence,
                tie_word_embeddings=False,
            )
            return LlamaForCausalLM(config)

        def loss(self, batch: Batch) -> Tensor:
            # Without a ready-made mask transformers asks the positions' values for packed sequences.
            mask = torch.ones(len(batch["x"]), 1, sequence, sequence, dtype=torch.bool, device=batch["x"].device)
            logits = self.network(batch["x"], attention_mask=mask, use_cache=False).logits
            return F.cross_entropy(logits.flatten(0, 1), batch["x"].flatten())

        def synthetic_batch(self, batch_size: int) -> Batch:
            return {"x": torch.randint(vocabulary, (batch_size, sequence)), "count": batch_size}

    process = psutil.Process()
    rss_before = process.memory_info().rss
    costs = account(Llama, model=recipe(Optimizer(name="adamw", lr=1e-4)), batch_size=1, autocast_dtype="bfloat16")
    assert process.memory_info().rss - rss_before < 600 * 2**20
    products = layers * (4 * hidden**2 + 3 * hidden * inner) + hidden * vocabulary
    forward = 2 * products * sequence + layers * 2 * 2 * sequence**2 * hidden
    assert forward == 62_921_270_886_400
    # Rotary angles are an outer product of 64 frequencies with the positions: 2 * 64 * 4096 more, without gradient.
    assert costs.flops_forward_per_sample - forward in (0, 2 * 64 * sequence)
    assert costs.flops_per_sample - costs.flops_forward_per_sample == 2 * forward
    assert costs.parameters == products + hidden * vocabulary + (2 * layers + 1) * hidden == 6_738_415_616
    assert costs.parameter_bytes == costs.gradient_bytes == 4 * costs.parameters
    assert costs.weight_copy_bytes == 2 * products == 2 * 6_607_077_376
    tensors = 9 * layers + 3
    assert costs.optimizer_state_bytes == 8 * costs.parameters + 4 * tensors

"""Every cost of small workloads is worked out by hand; large ones are held to published figures and closed formulas."""

from __future__ import annotations

import time
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from models.account import Account, count
from models.base import Workload
from models.data.base import Batch, Counts, Datasets
from models.data.spec import DataSpec
from models.flops import UncountedOperatorError
from models.recipe import Optimizer, Quality, Recipe, Schedule

SGD = Optimizer(name="sgd", lr=0.1, momentum=0.9)


def recipe(optimizer: Optimizer = SGD, **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "double",
        "workloads": {},
        "unit": "rows",
        "architecture": {},
        "batch_size": 8,
        "optimizer": optimizer,
        "schedule": Schedule(name="constant"),
        "quality": Quality(targets={"accuracy": 1.0}, mode="max", every_samples=1),
        "budget_samples": 1,
        "dataset": "none",
    }
    return Recipe(**(values | changes))


def account(workload: type[Workload], *, model: Recipe | None = None, **options: Any) -> Account:
    given: dict[str, Any] = {"weights_dtype": "float32", "autocast_dtype": None, **options}
    return count(workload, model or recipe(), **given)


class Double(Workload):
    """A subclass gives `network` and `input_shape`; the loss is the sum of what the network returns."""

    input_shape: tuple[int, ...] = (10,)

    def __init__(self, model: Recipe) -> None:
        super().__init__(model)
        self.network = self.build()

    def build(self) -> nn.Module:
        raise NotImplementedError

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.network(batch["x"]).sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        raise AssertionError("counting does not evaluate")

    def datasets(self, spec: DataSpec) -> Datasets:
        raise AssertionError("counting reads no data")

    def collate(self, examples: list[Any]) -> Batch:
        raise AssertionError("counting reads no data")

    def synthetic_batch(self, batch_size: int) -> Batch:
        return {"x": torch.randn(batch_size, *self.input_shape), "count": batch_size}

    def count(self, batch: Batch) -> Counts:
        return Counts(samples=batch["count"])


class Mlp(Double):
    """325 parameters: 10 to 20 to 5 with biases."""

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))


class TestMlpByHand:
    def test_parameters_gradients_and_inputs(self) -> None:
        costs = account(Mlp)
        assert costs.parameters == costs.trainable_parameters == 325
        assert costs.parameter_bytes == costs.gradient_bytes == 325 * 4
        assert costs.input_bytes_per_sample == 10 * 4

    def test_backward_is_twice_forward_without_the_gradient_of_the_input(self) -> None:
        costs = account(Mlp)
        assert costs.flops_forward_per_sample == 2 * (10 * 20 + 20 * 5)
        assert costs.flops_per_sample == 3 * 600 - 2 * 10 * 20

    @pytest.mark.parametrize("batch_size", [1, 3, 8])
    def test_nothing_per_sample_depends_on_the_counted_batch(self, batch_size: int) -> None:
        assert account(Mlp, batch_size=batch_size) == account(Mlp)

    def test_saved_activations_are_the_input_and_the_one_hidden_layer(self) -> None:
        # ReLU's result and the second layer's input are one storage; weights are not activations.
        assert account(Mlp).saved_activation_bytes_per_sample == 4 * (10 + 20)

    def test_autocast_halves_activations_and_its_copies_of_weights_are_none(self) -> None:
        costs = account(Mlp, autocast_dtype="bfloat16")
        assert costs.saved_activation_bytes_per_sample == 2 * (10 + 20)
        assert costs.parameter_bytes == costs.gradient_bytes == 325 * 4
        assert costs.flops_per_sample == account(Mlp).flops_per_sample

    def test_half_weights_halve_everything_but_flops(self) -> None:
        full, half = account(Mlp), account(Mlp, weights_dtype="bfloat16")
        assert half.flops_per_sample == full.flops_per_sample
        for name in ("parameter_bytes", "gradient_bytes", "optimizer_state_bytes", "minimum_bytes_per_sample"):
            assert getattr(half, name) == getattr(full, name) / 2
        assert half.saved_activation_bytes_per_sample == 2 * (10 + 20)

    def test_minimum_traffic(self) -> None:
        # Backward reads the second layer's weight alone: the input needs no gradient and biases are only added.
        reads = 4 * (325 + 20 * 5)
        gradients, weights, momentum = (2 * 4 * 325 for _ in range(3))
        assert account(Mlp).minimum_bytes_per_sample == (reads + gradients + weights + momentum) / 8 + 40
        twice = account(Mlp, model=recipe(accumulate=2)).minimum_bytes_per_sample
        assert twice == (2 * (reads + gradients) + weights + momentum) / 16 + 40
        mixed = account(Mlp, autocast_dtype="bfloat16").minimum_bytes_per_sample
        assert mixed == (reads / 2 + gradients + weights + momentum) / 8 + 40

    @pytest.mark.parametrize(
        ("optimizer", "weights", "expected"),
        [
            (Optimizer(name="sgd", lr=0.1), "float32", 0),
            (SGD, "float32", 4 * 325),
            (Optimizer(name="adam", lr=0.1), "float32", 2 * 4 * 325 + 4 * 4),  # a step count for each of 4 tensors
            (Optimizer(name="adamw", lr=0.1), "bfloat16", 2 * 2 * 325 + 4 * 4),
            (Optimizer(name="lamb", lr=0.1), "float32", 2 * 4 * 325),
        ],
    )
    def test_state_is_what_the_optimizer_keeps(self, optimizer: Optimizer, weights: str, expected: int) -> None:
        costs = account(Mlp, model=recipe(optimizer), weights_dtype=weights)
        assert costs.optimizer_state_bytes == expected

    def test_real_tensors_give_the_same_account(self) -> None:
        class Real(Mlp):
            count_device = "cpu"

        for autocast in (None, "bfloat16"):
            on_meta = account(Mlp, autocast_dtype=autocast)
            assert account(Real, autocast_dtype=autocast) == on_meta

    def test_counting_leaves_the_random_state_alone(self) -> None:
        class Real(Mlp):
            count_device = "cpu"

        torch.manual_seed(3)
        expected = torch.rand(4)
        torch.manual_seed(3)
        account(Real)
        assert torch.equal(torch.rand(4), expected)

    def test_what_depends_on_random_weights_is_the_same_every_time(self) -> None:
        class Chosen(Mlp):
            count_device = "cpu"

            def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
                return self.network(batch["x"][batch["x"][:, 0] > 0]).sum()

        torch.manual_seed(1)
        first = account(Chosen, batch_size=64)
        torch.manual_seed(2)
        assert account(Chosen, batch_size=64) == first

    def test_unknown_precision_is_refused(self) -> None:
        with pytest.raises(ValueError, match="float8"):
            account(Mlp, weights_dtype="float8")
        with pytest.raises(ValueError, match="bfloat16"):
            account(Mlp, weights_dtype="bfloat16", autocast_dtype="float16")


SEQUENCE, WIDTH, HEADS = 12, 16, 4


class SelfAttention(nn.Module):
    def __init__(self, kv_heads: int = HEADS) -> None:
        super().__init__()
        self.kv_heads, head = kv_heads, WIDTH // HEADS
        self.q = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k, self.v = (nn.Linear(WIDTH, kv_heads * head, bias=False) for _ in range(2))
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, WIDTH // HEADS)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        grouped = self.kv_heads != HEADS
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Attention(Double):
    input_shape = (SEQUENCE, WIDTH)

    def build(self) -> nn.Module:
        return SelfAttention()


class TestAttention:
    projections = 4 * 2 * SEQUENCE * WIDTH * WIDTH
    products = 2 * 2 * SEQUENCE * SEQUENCE * WIDTH
    without_input_gradient = 3 * 2 * SEQUENCE * WIDTH * WIDTH

    def check(self, costs: Account) -> None:
        assert costs.flops_forward_per_sample == self.projections + self.products
        assert costs.flops_per_sample == 3 * (self.projections + self.products) - self.without_input_gradient

    def test_backward_is_twice_forward_and_masks_save_nothing(self) -> None:
        self.check(account(Attention))

    def test_a_fused_kernel_that_computes_scores_twice_counts_once(self) -> None:
        class Fused(Attention):
            count_device = "cpu"

            def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
                with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                    return super().training_step(batch, batch_idx)

        self.check(account(Fused))

    def test_fused_attention_saves_no_square_of_the_sequence(self) -> None:
        class Longer(Attention):
            input_shape = (4 * SEQUENCE, WIDTH)

        short = account(Attention).saved_activation_bytes_per_sample
        assert account(Longer).saved_activation_bytes_per_sample == pytest.approx(4 * short, rel=0.01)

    def test_shared_key_and_value_heads(self) -> None:
        class Grouped(Attention):
            def build(self) -> nn.Module:
                return SelfAttention(kv_heads=1)

        forward = 2 * SEQUENCE * WIDTH * (2 * WIDTH + 2 * WIDTH // HEADS) + self.products
        assert account(Grouped).flops_forward_per_sample == forward


class TestOtherOperators:
    def test_grouped_convolution_is_not_counted_once_per_group(self) -> None:
        class Grouped(Double):
            input_shape = (8, 6, 6)

            def build(self) -> nn.Module:
                return nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 16, 3, groups=4))

        first, second = 2 * 36 * 8 * 8, 2 * 16 * 16 * (8 // 4) * 9
        costs = account(Grouped)
        assert costs.flops_forward_per_sample == first + second
        assert costs.flops_per_sample == 3 * (first + second) - first

    def test_transposed_convolution(self) -> None:
        class Transposed(Double):
            input_shape = (8, 5)

            def build(self) -> nn.Module:
                return nn.Sequential(nn.Conv1d(8, 8, 1), nn.ConvTranspose1d(8, 4, 3, stride=2))

        first, second = 2 * 5 * 8 * 8, 2 * 5 * 8 * 4 * 3
        costs = account(Transposed)
        assert costs.flops_forward_per_sample == first + second
        assert costs.flops_per_sample == 3 * (first + second) - first

    def test_checkpointing_repeats_work_that_is_not_the_models(self) -> None:
        class Checkpointed(Mlp):
            def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
                return checkpoint(self.network, batch["x"], use_reentrant=False).sum()

        costs = account(Checkpointed)
        assert costs.flops_per_sample == account(Mlp).flops_per_sample
        assert costs.saved_activation_bytes_per_sample == 40

    def test_matrix_times_vector(self) -> None:
        class Vector(Double):
            def build(self) -> nn.Module:
                return nn.Linear(1, 10, bias=False)

            def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
                return torch.mv(batch["x"], self.network.weight[:, 0]).sum()  # type: ignore[index]

        costs = account(Vector)
        assert costs.flops_forward_per_sample == 2 * 10
        assert costs.flops_per_sample == 2 * 2 * 10

    def test_recurrence_counts_on_meta_and_is_refused_where_one_kernel_hides_it(self) -> None:
        class Last(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.lstm = nn.LSTM(10, 6, batch_first=True)

            def forward(self, x: Tensor) -> Tensor:
                return self.lstm(x)[0]

        class Recurrent(Double):
            input_shape = (7, 10)

            def build(self) -> nn.Module:
                return Last()

        class Real(Recurrent):
            count_device = "cpu"

        assert account(Recurrent).flops_forward_per_sample == 7 * 2 * (10 + 6) * 4 * 6
        if torch.backends.mkldnn.is_available():
            with pytest.raises(UncountedOperatorError, match="mkldnn_rnn_layer"):
                account(Real)

    def test_sample_unit_other_than_the_row(self) -> None:
        class Frames(Mlp):
            input_shape = (50, 10)

            def count(self, batch: Batch) -> Counts:
                return Counts(samples=batch["count"] * 50)

        frames, rows = account(Frames), account(Mlp)
        assert frames.flops_per_sample == rows.flops_per_sample
        assert frames.saved_activation_bytes_per_sample == rows.saved_activation_bytes_per_sample
        state = rows.minimum_bytes_per_sample - rows.input_bytes_per_sample
        assert frames.minimum_bytes_per_sample == pytest.approx(state / 50 + 40)

    def test_looked_up_table_frozen_and_unused_parameters(self) -> None:
        class Tables(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table, self.unused = nn.Embedding(100, 4), nn.Linear(3, 3)
                self.frozen, self.head = nn.Linear(4, 4, bias=False), nn.Linear(4, 2, bias=False)
                self.frozen.requires_grad_(False)

            def forward(self, x: Tensor) -> Tensor:
                return self.head(self.frozen(self.table(x)))

        class Lookup(Double):
            def build(self) -> nn.Module:
                return Tables()

            def synthetic_batch(self, batch_size: int) -> Batch:
                return {"x": torch.randint(100, (batch_size,)), "count": batch_size}

        costs = account(Lookup, model=recipe(Optimizer(name="sgd", lr=0.1)))
        assert (costs.parameters, costs.trainable_parameters) == (400 + 12 + 16 + 8, 400 + 12 + 8)
        assert costs.gradient_bytes == 4 * (400 + 8)
        assert costs.optimizer_state_bytes == 0
        # The table is only looked up; both layers are read by forward and backward.
        traffic = 4 * (2 * (16 + 8) + 2 * (400 + 8) + 2 * (400 + 8))
        assert costs.minimum_bytes_per_sample == traffic / 8 + 8

    def test_tied_parameter_counts_once(self) -> None:
        class Tied(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table, self.head = nn.Embedding(100, 4), nn.Linear(4, 100, bias=False)
                self.head.weight = self.table.weight

            def forward(self, x: Tensor) -> Tensor:
                return self.head(self.table(x))

        class Lookup(Double):
            def build(self) -> nn.Module:
                return Tied()

            def synthetic_batch(self, batch_size: int) -> Batch:
                return {"x": torch.randint(100, (batch_size,)), "count": batch_size}

        costs = account(Lookup, model=recipe(Optimizer(name="sgd", lr=0.1)))
        assert costs.parameters == 400
        assert costs.minimum_bytes_per_sample == 4 * (2 + 2 + 2) * 400 / 8 + 8


class TestPublished:
    """Large models on the meta device, against published figures and closed formulas."""

    def test_resnet50(self) -> None:
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

    def test_bert_large_is_the_closed_formula(self) -> None:
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

            def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
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

    def test_llama_2_7b_needs_no_memory_and_little_time(self) -> None:
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

            def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
                # Without a ready-made mask transformers asks the positions' values for packed sequences.
                mask = torch.ones(len(batch["x"]), 1, sequence, sequence, dtype=torch.bool, device=batch["x"].device)
                logits = self.network(batch["x"], attention_mask=mask, use_cache=False).logits
                return F.cross_entropy(logits.flatten(0, 1), batch["x"].flatten())

            def synthetic_batch(self, batch_size: int) -> Batch:
                return {"x": torch.randint(vocabulary, (batch_size, sequence)), "count": batch_size}

        process = psutil.Process()
        rss_before, started = process.memory_info().rss, time.process_time()
        costs = account(Llama, model=recipe(Optimizer(name="adamw", lr=1e-4)), batch_size=1, autocast_dtype="bfloat16")
        assert time.process_time() - started < 15
        assert process.memory_info().rss - rss_before < 600 * 2**20
        products = layers * (4 * hidden**2 + 3 * hidden * inner) + hidden * vocabulary
        forward = 2 * products * sequence + layers * 2 * 2 * sequence**2 * hidden
        assert forward == 62_921_270_886_400
        # Rotary angles are an outer product of 64 frequencies with the positions: 2 * 64 * 4096 more, without gradient.
        assert costs.flops_forward_per_sample - forward in (0, 2 * 64 * sequence)
        assert costs.flops_per_sample - costs.flops_forward_per_sample == 2 * forward
        assert costs.parameters == products + hidden * vocabulary + (2 * layers + 1) * hidden == 6_738_415_616
        assert costs.parameter_bytes == costs.gradient_bytes == 4 * costs.parameters
        tensors = 9 * layers + 3
        assert costs.optimizer_state_bytes == 8 * costs.parameters + 4 * tensors

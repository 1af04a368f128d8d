"""Every cost of small implementations is worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from account_doubles import SGD, Double, Mlp, account, recipe
from torch import Tensor, nn

from models.datasets.base import Batch, Counts
from models.training import Optimizer, ParameterGroup


class TestMlpByHand:
    def test_what_the_optimizer_is_not_given_has_no_state_in_it(self) -> None:
        """The first layer, 220 of 325 parameters, keeps its gradient and has neither momentum nor an update."""
        frozen = replace(SGD, groups=(ParameterGroup(match=("0.*",), lr_ratio=0.0),))
        costs, whole = account(Mlp, model=recipe(frozen)), account(Mlp)
        assert (whole.optimizer_state_bytes, costs.optimizer_state_bytes) == (4 * 325, 4 * 105)
        assert costs.gradient_bytes == 4 * 325
        # Per step of 8: 220 weights and as much state, each 4 bytes, less to read and to write.
        saved = whole.minimum_bytes_per_sample - costs.minimum_bytes_per_sample
        assert saved == 2 * (4 * 220 + 4 * 220) / 8

    @pytest.mark.parametrize("weights", ["float32", "bfloat16"])
    def test_an_average_of_weights_is_a_further_copy_in_float32(self, weights: str) -> None:
        model = recipe()
        assert model.train is not None
        model.train.regularisation.ema_decay = 0.9
        assert account(Mlp, model=model, weights_dtype=weights).weight_average_bytes == 4 * 325
        assert account(Mlp, weights_dtype=weights).weight_average_bytes == 0

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

    def test_autocast_halves_activations_and_keeps_copies_of_weights(self) -> None:
        costs = account(Mlp, autocast_dtype="bfloat16")
        assert costs.saved_activation_bytes_per_sample == 2 * (10 + 20)
        assert costs.parameter_bytes == costs.gradient_bytes == 325 * 4
        assert costs.flops_per_sample == account(Mlp).flops_per_sample
        # Backward needs the second layer's weight alone, in the type it was multiplied in.
        assert costs.weight_copy_bytes == 2 * 20 * 5
        assert account(Mlp, autocast_dtype="bfloat16", batch_size=3).weight_copy_bytes == 2 * 20 * 5
        assert account(Mlp).weight_copy_bytes == account(Mlp, weights_dtype="bfloat16").weight_copy_bytes == 0

    def test_what_is_counted_is_what_autograd_really_keeps(self) -> None:
        class Convolutions(Double):
            input_shape = (3, 16, 16)

            def build(self) -> nn.Module:
                return nn.Sequential(
                    *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.Flatten()),
                    *(nn.LazyLinear(5), nn.GELU(), nn.Linear(5, 5)),
                )

        with torch.device("cpu"):
            double = Convolutions(recipe())
            batch = double.synthetic_batch(8)
        double.network(batch["x"])  # shapes of the lazy layer
        own = {tensor.untyped_storage().data_ptr() for tensor in (*double.parameters(), *double.buffers())}
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False), hooks:
            double.loss(batch)
        real = sum(tensor.untyped_storage().nbytes() for pointer, tensor in kept.items() if pointer not in own)

        class Sized(Convolutions):
            count_device = "cpu"

            def build(self) -> nn.Module:
                return double.network

        costs = account(Sized, batch_size=8, autocast_dtype="bfloat16")
        assert costs.weight_copy_bytes >= 2 * (16 * 8 * 9 + 5 * 16 * 12 * 12 + 5 * 5)
        assert 8 * costs.saved_activation_bytes_per_sample + costs.weight_copy_bytes == real

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
        twice = account(Mlp, model=recipe(gradient_accumulation_steps=2)).minimum_bytes_per_sample
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

            def loss(self, batch: Batch) -> Tensor:
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


class TestUnitsAndParameters:
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


class Table(Double):
    """A table of 1000 rows of 6 of which 4 are looked up and added, and a layer of 6 to 1 without bias."""

    def build(self) -> nn.Module:
        return nn.Sequential(nn.EmbeddingBag(1000, 6, mode="sum", sparse=True), nn.Linear(6, 1, bias=False))

    def synthetic_batch(self, batch_size: int) -> Batch:
        return {"x": torch.randint(1000, (batch_size, 4)), "count": batch_size}


class TestSparseGradientsByHand:
    @pytest.mark.parametrize("batch_size", [1, 3, 8])
    @pytest.mark.parametrize("device", ["meta", "cpu"])
    def test_they_hold_the_rows_of_one_pass(
        self, batch_size: int, device: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Table, "count_device", device)
        costs = account(Table, model=recipe(Optimizer(name="adagrad", lr=0.1)), batch_size=batch_size)
        assert costs.gradient_bytes == 8 * 4 * (6 * 4 + 8) + 6 * 4
        assert costs.optimizer_state_bytes == 4 * (6000 + 6) + 2 * 4
        assert costs.flops_forward_per_sample == 2 * 6

    def test_the_least_traffic_leaves_the_table_out(self) -> None:
        costs = account(Table, model=recipe(Optimizer(name="adagrad", lr=0.1)))
        # The layer: read by both passes, gradient written and read, weight and sum read and written, a count.
        assert costs.minimum_bytes_per_sample == (6 * 4 * (2 + 2 + 4) + 2 * 4) / 8 + 4 * 8

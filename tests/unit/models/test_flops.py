"""Operations by hand, where torch's counter counts what kernels do and not what the model needs."""

from __future__ import annotations

import pytest
import torch
from account_doubles import Double, Mlp, account
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from models.costs.account import Account
from models.costs.flops import ModelFlops, UncountedOperatorError
from models.datasets.base import Batch

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

            def loss(self, batch: Batch) -> Tensor:
                with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                    return super().loss(batch)

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
            def loss(self, batch: Batch) -> Tensor:
                return checkpoint(self.network, batch["x"], use_reentrant=False).sum()

        costs = account(Checkpointed)
        assert costs.flops_per_sample == account(Mlp).flops_per_sample
        assert costs.saved_activation_bytes_per_sample == 40

    @pytest.mark.parametrize(
        ("left", "right", "groups", "expected"),
        [
            ((32, 16), (4, 16, 8), 4, 2 * 32 * 16 * 8),  # rows are shared out
            ((16, 32), (32, 8), 4, 2 * 16 * 32 * 8),  # the inner places are
            ((4, 24, 16), (16, 32), 4, 2 * 24 * 16 * 32),  # columns are
            ((4, 24, 16), (4, 16, 8), None, 2 * 4 * 24 * 16 * 8),  # nothing is: a batch
        ],
    )
    def test_grouped_product(
        self, left: tuple[int, ...], right: tuple[int, ...], groups: int | None, expected: int
    ) -> None:
        if not hasattr(F, "grouped_mm"):
            pytest.skip(f"torch {torch.__version__} has no grouped product")
        with torch.device("meta"), ModelFlops() as counted:
            ends = None if groups is None else torch.empty(groups, dtype=torch.int32)
            factors = (torch.empty(shape, dtype=torch.bfloat16) for shape in (left, right))
            F.grouped_mm(*factors, offs=ends)
        assert counted.get_total_flops() == expected

    def test_matrix_times_vector(self) -> None:
        class Vector(Double):
            def build(self) -> nn.Module:
                return nn.Linear(1, 10, bias=False)

            def loss(self, batch: Batch) -> Tensor:
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

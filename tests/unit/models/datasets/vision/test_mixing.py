"""Mixup and CutMix of a batch, against counts of what each image shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from torch import Tensor

from models.datasets.vision.mixing import Mixed, mix

ROWS, HEIGHT, WIDTH = 5, 12, 20


def numbered() -> tuple[Tensor, Tensor]:
    """Images whose every value is their own number, which is their class as well."""
    label = torch.arange(ROWS)
    return label.float()[:, None, None, None].expand(ROWS, 3, HEIGHT, WIDTH).clone(), label


def drawn(seed: int, **alphas: float) -> Mixed:
    torch.manual_seed(seed)
    return mix(*numbered(), **{"mixup_alpha": 0.0, "cutmix_alpha": 0.0, **alphas})


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("alphas", [{"mixup_alpha": 0.8}, {"cutmix_alpha": 1.0}])
def test_every_image_shows_its_own_class_and_its_neighbours_in_the_shares_told(
    seed: int, alphas: dict[str, float]
) -> None:
    image, label = numbered()
    mixed = drawn(seed, **alphas)
    assert torch.equal(mixed.label, label)
    assert mixed.other.tolist() == [ROWS - 1, *range(ROWS - 1)]
    expected = mixed.share * mixed.label + (1 - mixed.share) * mixed.other
    assert torch.allclose(mixed.image.mean(dim=(1, 2, 3)), expected, atol=1e-5)
    assert torch.equal(image, numbered()[0]), "the batch itself is left alone"


def test_cutmix_shows_one_rectangle_of_the_neighbour_and_mixup_none() -> None:
    for seed in range(20):
        foreign = drawn(seed, cutmix_alpha=1.0).image[3] != 3
        assert torch.equal(foreign[0], foreign[1])
        rows, columns = foreign[0].any(dim=1), foreign[0].any(dim=0)
        assert torch.equal(foreign[0], rows[:, None] & columns[None])
        assert drawn(seed, mixup_alpha=0.5).image[3].unique().numel() == 1


def test_one_share_is_drawn_from_the_beta_distribution() -> None:
    shares = [drawn(seed, mixup_alpha=0.2).share for seed in range(400)]
    assert kstest(shares, beta(0.2, 0.2).cdf).pvalue > 0.01


def test_a_coin_chooses_between_the_two() -> None:
    cut = [drawn(seed, mixup_alpha=0.8, cutmix_alpha=1.0).image[3].unique().numel() == 2 for seed in range(400)]
    uncut_share = np.mean([drawn(seed, cutmix_alpha=1.0).image[3].unique().numel() == 1 for seed in range(400)])
    assert np.mean(cut) == pytest.approx(0.5 * (1 - uncut_share), abs=0.08)


def test_torchs_seed_decides() -> None:
    assert torch.equal(drawn(3, mixup_alpha=1.0).image, drawn(3, mixup_alpha=1.0).image)
    assert drawn(3, mixup_alpha=1.0).share != drawn(4, mixup_alpha=1.0).share
    torch.manual_seed(3)
    first, second = (mix(*numbered(), mixup_alpha=1.0, cutmix_alpha=0.0).share for _ in range(2))
    assert first != second


def test_the_type_of_the_images_is_kept() -> None:
    image, label = numbered()
    for alphas in ({"mixup_alpha": 1.0, "cutmix_alpha": 0.0}, {"mixup_alpha": 0.0, "cutmix_alpha": 1.0}):
        assert mix(image.bfloat16(), label, **alphas).image.dtype == torch.bfloat16

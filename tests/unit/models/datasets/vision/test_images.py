from __future__ import annotations

import numpy as np
import pytest
import torch

from models.datasets.vision.images import DIGIT_CLASSES, IMAGENET_MEAN, IMAGENET_STD, DigitsOnPhotographs, normalise


def test_normalised_values_have_imagenets_mean_and_deviation() -> None:
    mean, deviation = (torch.tensor(values)[:, None, None].expand(3, 4, 4) for values in (IMAGENET_MEAN, IMAGENET_STD))
    assert torch.allclose(normalise(mean), torch.zeros(3, 4, 4))
    assert torch.allclose(normalise(mean + deviation), torch.ones(3, 4, 4), atol=1e-6)


@pytest.mark.parametrize("image_size", [32, 224])
def test_pictures_are_rgb_at_the_size_asked_for_and_always_the_same(image_size: int) -> None:
    first, second = (DigitsOnPhotographs(image_size=image_size, train=True) for _ in range(2))
    for index in (0, 700, len(first) - 1):
        example, again = first[index], second[index]
        assert example.image.shape == (3, image_size, image_size)
        assert example.image.dtype == torch.float32
        assert torch.equal(example.image, again.image)
        assert example.label == again.label
        values = example.image * torch.tensor(IMAGENET_STD)[:, None, None] + torch.tensor(IMAGENET_MEAN)[:, None, None]
        assert values.min() + 1e-6 >= 0
        assert values.max() - 1e-6 <= 1
        assert values.std() > 0.05


def test_every_digit_is_used_once_and_none_in_both_parts() -> None:
    train, evaluation = (DigitsOnPhotographs(image_size=32, train=part) for part in (True, False))
    assert len(train) + len(evaluation) == 1797
    assert sorted([*train.indices, *evaluation.indices]) == list(range(1797))
    for part in (train, evaluation):
        shares = np.bincount(part.labels, minlength=DIGIT_CLASSES) / len(part)
        assert shares.min() > 0.05
        assert shares.max() < 0.15


def test_pixels_alone_do_not_give_the_class_away() -> None:
    """The nearest mean picture, a classifier of raw pixels, stays far below the network's target of 0.75."""
    parts = []
    for is_train in (True, False):
        part = DigitsOnPhotographs(image_size=32, train=is_train)
        pixels = torch.stack([part[index].image.flatten() for index in range(len(part))])
        parts.append((pixels, torch.tensor(part.labels)))
    (seen, seen_labels), (unseen, unseen_labels) = parts
    means = torch.stack([seen[seen_labels == label].mean(0) for label in range(DIGIT_CLASSES)])
    found = torch.cdist(unseen, means).argmin(1)
    accuracy = (found == unseen_labels).float().mean()
    assert accuracy < 0.5

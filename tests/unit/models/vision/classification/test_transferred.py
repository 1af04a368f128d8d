"""Served classifiers take the weights of Hugging Face's form and then compute what its networks do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from language_samples import case_of
from PIL import Image
from zoo import built_to_serve

from models.datasets.base import DataError
from models.inferable import Inferable
from models.weights import load_weights, read_weights
from runner.frameworks.implementations import build_inferable

IMAGE, CLASSES = 32, 10


def vit() -> Any:
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    config = transformers.ViTConfig(**sizes, image_size=IMAGE, patch_size=4, num_labels=CLASSES, layer_norm_eps=1e-12)
    return transformers.ViTForImageClassification(config)


def swin() -> Any:
    sizes = {"embed_dim": 96, "depths": [2, 2], "num_heads": [3, 6], "window_size": 4}
    config = transformers.SwinConfig(**sizes, image_size=IMAGE, patch_size=4, num_labels=CLASSES)
    return transformers.SwinForImageClassification(config)


THEIRS = {"vit_l_16": vit, "swin_large": swin}


def random_network(name: str) -> Any:
    """Theirs, every tensor of which has its own random numbers: biases and norms, too."""
    torch.manual_seed(3)
    network = THEIRS[name]().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape) + (parameter == 1))
    return network


def loaded(name: str, folder: Path) -> Inferable:
    model = built_to_serve(name)
    load_weights(model.network, model.initial_weights(read_weights(folder)), path=folder)
    return model


@pytest.mark.parametrize("name", THEIRS)
def test_computes_what_the_published_network_does(name: str, tmp_path: Path) -> None:
    theirs = random_network(name)
    theirs.save_pretrained(tmp_path)
    model, image = loaded(name, tmp_path), torch.randn(3, 3, IMAGE, IMAGE)
    with torch.inference_mode():
        expected, found = theirs(image).logits, model.served()(image)[0]
    assert expected.std() > 0.1
    assert torch.allclose(found, expected, rtol=0, atol=2e-5 * expected.abs().max().item())


def test_windows_positions_that_old_files_hold_are_computed(tmp_path: Path) -> None:
    theirs = random_network("swin_large")
    theirs.save_pretrained(tmp_path)
    weights = read_weights(tmp_path)
    weights["swin.encoder.layers.0.blocks.0.attention.self.relative_position_index"] = torch.zeros(16, 16)
    model = built_to_serve("swin_large")
    load_weights(model.network, model.initial_weights(weights), path=tmp_path)


@pytest.mark.parametrize("name", THEIRS)
def test_a_checkpoint_without_a_tensor_is_refused(name: str, tmp_path: Path) -> None:
    weights = random_network(name).state_dict()
    del weights[next(key for key in weights if "k_proj.weight" in key or "key.weight" in key)]
    model = built_to_serve(name)
    with pytest.raises(DataError, match="does not fit the model"):
        load_weights(model.network, model.initial_weights(weights), path=tmp_path)


@pytest.mark.parametrize("name", THEIRS)
def test_images_are_squeezed_as_the_checkpoints_processor_does(name: str) -> None:
    """A wide image keeps its right edge: nothing is cropped."""
    wide = Image.new("RGB", (120, 40))
    wide.paste((255, 255, 255), (110, 0, 120, 40))
    seen = built_to_serve(name).views().evaluation(wide)  # type: ignore[attr-defined]
    assert seen.shape == (3, IMAGE, IMAGE)
    white = (1.0 - 0.485) / 0.229 if name == "swin_large" else 1.0
    assert seen[0, 16, -1].item() == pytest.approx(white, abs=0.05)
    resample = transformers.ViTImageProcessor if name == "vit_l_16" else None
    if resample is not None:
        processor = resample(size={"height": IMAGE, "width": IMAGE})
        assert torch.allclose(seen, processor(wide, return_tensors="pt")["pixel_values"][0], atol=0.02)


@pytest.mark.parametrize("name", ["bigtransfer", "vit", "vit_l_16"])
def test_a_last_layer_of_zeros_hides_nothing_where_random_weights_are_served(name: str) -> None:
    torch.manual_seed(0)
    model = build_inferable(case_of(f"model={name}", "task=infer", "scale=tiny"))
    with torch.inference_mode():
        (logits,) = model.served()(torch.randn(2, 3, IMAGE, IMAGE))
    assert logits.std() > 0 and not torch.equal(logits[0], logits[1])

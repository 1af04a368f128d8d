"""Stable Diffusion v1's parts: published sizes, published files, and requests as the parts before them make them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from language_samples import published
from zoo import built_to_serve

from models.datasets.base import DataError
from models.multimodal.latent_diffusion.architecture import autoencoder_of
from models.multimodal.latent_diffusion.checkpoints import OLD_ATTENTION, part_of
from models.weights import load_weights, read_weights

PARTS = {
    "sd_text_encoder": 123_060_480,
    "sd_unet": 859_520_964,
    "sd_vae_encoder": 34_163_592 + 72,
    "sd_vae_decoder": 49_490_179 + 20,
}
"""Parameters at reference scale, those of the 1 x 1 convolutions apart."""


@pytest.mark.parametrize("name", PARTS)
def test_parameters_are_exactly_those_published(name: str) -> None:
    with torch.device("meta"):
        network = built_to_serve(name, "reference").network
    wanted = published(name).parameters
    assert wanted is not None and wanted.value == PARTS[name]
    assert sum(one.numel() for one in network.parameters()) == PARTS[name]


def test_shapes_at_reference_are_byteml_perfs() -> None:
    with torch.device("meta"):
        shapes = {name: built_to_serve(name, "reference").synthetic_batch(1) for name in PARTS}
    told = {name: {key: tuple(one.shape) for key, one in batch.items()} for name, batch in shapes.items()}
    assert told == {
        "sd_text_encoder": {"input_ids": (1, 77)},
        "sd_unet": {"sample": (1, 4, 32, 32), "timestep": (1,), "encoder_hidden_states": (1, 77, 768)},
        "sd_vae_encoder": {"sample": (1, 3, 256, 256)},
        "sd_vae_decoder": {"latent_sample": (1, 4, 32, 32)},
    }


def test_requests_are_distributed_as_what_the_parts_make() -> None:
    torch.manual_seed(0)
    latents = built_to_serve("sd_vae_decoder").synthetic_batch(64)["latent_sample"]
    assert float(latents.std()) * 0.18215 == pytest.approx(1, rel=0.05)
    unet = built_to_serve("sd_unet").synthetic_batch(256)
    assert 0 <= int(unet["timestep"].min()) < 50 and 950 < int(unet["timestep"].max()) < 1000
    pixels = built_to_serve("sd_vae_encoder").synthetic_batch(16)["sample"]
    assert -1 <= float(pixels.min()) < -0.9 and 0.9 < float(pixels.max()) <= 1
    ids = built_to_serve("sd_text_encoder").synthetic_batch(64)["input_ids"]
    assert set(ids[:, 0].tolist()) == {638} and set(ids[:, -1].tolist()) == {639}
    ends = (ids == 639).int().argmax(dim=1)
    assert len(set(ends.tolist())) > 3, "captions differ in length"
    assert all(set(row[end:].tolist()) == {639} for row, end in zip(ids, ends, strict=True))


def test_the_text_encoder_pools_at_the_first_end_marker() -> None:
    model = built_to_serve("sd_text_encoder")
    torch.manual_seed(0)
    ids = model.synthetic_batch(4)["input_ids"]
    with torch.inference_mode():
        states, pooled = model.served()(ids)
        wider = model.served()(torch.cat([ids[:, :5], torch.full((4, 3), 7)], dim=1))[0]
    ends = [row.index(639) for row in ids.tolist()]
    assert torch.equal(pooled, torch.stack([states[row, end] for row, end in enumerate(ends)]))
    torch.testing.assert_close(wider[:, :5], states[:, :5], msg="no token sees a later one")


def test_both_halves_are_diffusers_autoencoder() -> None:
    encoder, decoder = built_to_serve("sd_vae_encoder"), built_to_serve("sd_vae_decoder")
    sizes: Any = encoder.sizes
    whole: Any = autoencoder_of(sizes).eval()
    halves = encoder.network.state_dict() | decoder.network.state_dict()
    whole.load_state_dict(halves)
    image, latent = torch.rand(2, 3, 16, 16), torch.randn(2, 4, 8, 8)
    with torch.inference_mode():
        assert torch.equal(encoder.served()(image)[0], whole.encode(image).latent_dist.parameters)
        assert torch.equal(decoder.served()(latent)[0], whole.decode(latent).sample)


def saved_pipeline(root: Path) -> dict[str, Any]:
    """Parts of a pipeline as diffusers saves it, with the names that CompVis' files have, and what was saved."""
    text, unet = built_to_serve("sd_text_encoder").network, built_to_serve("sd_unet").network
    torch.manual_seed(5)
    vae = autoencoder_of(built_to_serve("sd_vae_encoder").sizes)
    saved = {"text_encoder": text, "unet": unet, "vae": vae}
    (root / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    for folder in saved:
        (root / folder).mkdir()
    tensors = {f"text_model.{name}": one for name, one in text.state_dict().items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(8)[None]
    torch.save(tensors, root / "text_encoder/pytorch_model.bin")
    unet.save_pretrained(str(root / "unet"))
    old = {new: name for name, new in OLD_ATTENTION.items()}

    def before(name: str) -> str:
        for new, one in old.items():
            if ".attentions." in name:
                name = name.replace(f".{new}.", f".{one}.")
        return name

    torch.save({before(name): one for name, one in vae.state_dict().items()}, root / "vae/diffusion_pytorch_model.bin")
    return saved


def test_every_part_starts_from_the_published_folder_or_from_its_own(tmp_path: Path) -> None:
    saved = saved_pipeline(tmp_path)
    folders = {"text_encoder": "text_encoder", "unet": "unet", "vae_encoder": "vae", "vae_decoder": "vae"}
    for part, folder in folders.items():
        own = saved[folder].state_dict()
        for path in (tmp_path, tmp_path / folder):
            model = built_to_serve(f"sd_{part}")
            for parameter in model.network.parameters():
                torch.nn.init.zeros_(parameter)
            load_weights(model.network, model.initial_weights(read_weights(path)), path=path)
            assert all(torch.equal(one, own[name]) for name, one in model.network.state_dict().items()), part
    whole = built_to_serve("stable_diffusion_v1_4")
    load_weights(whole.network, whole.initial_weights(read_weights(tmp_path)), path=tmp_path)
    for name, tensor in whole.network.state_dict().items():
        folder, _, rest = name.partition(".")
        assert torch.equal(tensor, saved[folder].state_dict()[rest]), name


def test_a_pipeline_without_a_part_is_refused(tmp_path: Path) -> None:
    saved_pipeline(tmp_path)
    (tmp_path / "unet").rename(tmp_path / "other")
    with pytest.raises(DataError, match="does not exist"):
        read_weights(tmp_path)
    model = built_to_serve("sd_unet")
    with pytest.raises(DataError, match="does not fit the model"):
        load_weights(model.network, model.initial_weights(read_weights(tmp_path / "vae")), path=tmp_path)


def test_names_of_today_stay() -> None:
    weights = {"unet.a.attentions.0.to_q.weight": torch.ones(1), "vae.decoder.query.weight": torch.ones(1)}
    assert list(part_of(weights, "unet")) == ["a.attentions.0.to_q.weight"]
    assert list(part_of(weights, "vae")) == ["decoder.query.weight"], "a layer that is no attention"

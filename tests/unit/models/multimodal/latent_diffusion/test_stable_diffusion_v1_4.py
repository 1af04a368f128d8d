"""Text to image as one network: against diffusers' own pipeline, its data, and its score."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_samples import LENGTH, tiny_clip, vizwiz, write_prompts
from laion_samples import VOCABULARY
from language_samples import dataset_spec, published, recipe, sample_spec
from PIL import Image
from zoo import built_to_serve

from models.costs.flops import ModelFlops
from models.datasets.base import DataError
from models.datasets.multimodal.prompts import LAYOUT, read_captions
from models.datasets.reading import Reader
from models.inferable import Inferable
from models.multimodal.latent_diffusion.architecture import autoencoder_of
from models.multimodal.latent_diffusion.stable_diffusion_v1_4 import StableDiffusionV14
from models.multimodal.latent_diffusion.text_to_image import TextToImageNetwork

READER = Reader(expected=LAYOUT, source="VizWiz")


def model_of(**architecture: Any) -> StableDiffusionV14:
    model = built_to_serve("stable_diffusion_v1_4", **architecture)
    assert isinstance(model, StableDiffusionV14)
    return model


def for_captions() -> StableDiffusionV14:
    """With the vocabulary and the length of the captions on disk."""
    architecture = recipe("stable_diffusion_v1_4").architecture
    text = architecture["text"] | {"vocabulary": VOCABULARY, "length": LENGTH}
    return model_of(text=text, unet=architecture["unet"] | {"text_length": LENGTH})


def scheduler_of(sampler: str) -> Any:
    """FlagPerf's, and the published pipeline's."""
    from diffusers import DDIMScheduler, PNDMScheduler

    schedule: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    if sampler == "ddim":
        return DDIMScheduler(**schedule, clip_sample=False, set_alpha_to_one=False)
    return PNDMScheduler(**schedule, skip_prk_steps=True, steps_offset=1)


@pytest.mark.filterwarnings("ignore:The configuration file of this scheduler:FutureWarning")
@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 2), ("ddim", 5), ("plms", 5)])
def test_images_are_those_of_diffusers_pipeline(sampler: str, steps: int) -> None:
    from diffusers import StableDiffusionPipeline

    model = model_of(sampler=sampler, steps=steps)
    vae = autoencoder_of(model.sizes.vae).eval()
    vae.load_state_dict(model.network.vae.state_dict(), strict=False)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=model.network.text_encoder,
        tokenizer=None,
        unet=model.network.unet,
        scheduler=scheduler_of(sampler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    # It changes a schedule whose timesteps end at 0, as FlagPerf's do.
    pipeline.scheduler = scheduler_of(sampler)
    pipeline.set_progress_bar_config(disable=True)
    torch.manual_seed(2)
    batch = model.synthetic_batch(2)
    empty = torch.tensor([[638] + [639] * 7] * 2)
    with torch.inference_mode():
        states = [model.network.text_encoder(input_ids=ids).last_hidden_state for ids in (batch["input_ids"], empty)]
        wanted = pipeline(
            prompt_embeds=states[0],
            negative_prompt_embeds=states[1],
            latents=batch["noise"],
            num_inference_steps=steps,
            guidance_scale=7.5,
            output_type="pt",
        ).images
        (image,) = model.served()(*model.inputs(batch))
    shown = (image / 2 + 0.5).clamp(0, 1)
    assert shown.shape == (2, 3, 16, 16) and float(shown.std()) > 0.05
    assert (shown - wanted).abs().max() < 1e-4


def test_what_does_not_fit_together_is_refused() -> None:
    architecture = recipe("stable_diffusion_v1_4").architecture
    with pytest.raises(ValueError, match="latents of 16 and 8"):
        model_of(unet=architecture["unet"] | {"latent_size": 16})
    with pytest.raises(ValueError, match="text_hidden and unet"):
        model_of(text=architecture["text"] | {"length": 9})
    with pytest.raises(ValueError, match="steps=1 must be at least 2"):
        model_of(steps=1)


def test_reference_is_the_published_pipeline() -> None:
    with torch.device("meta"):
        model = built_to_serve("stable_diffusion_v1_4", "reference")
    assert isinstance(model, StableDiffusionV14) and isinstance(model.network, TextToImageNetwork)
    wanted = published("stable_diffusion_v1_4").parameters
    assert wanted is not None
    assert sum(one.numel() for one in model.network.parameters()) == wanted.value == 1_032_071_643
    assert (model.sizes.steps, model.sizes.guidance, model.sizes.vae.image_size) == (50, 7.5, 512)
    assert model.inputs(model.synthetic_batch(1))[1].shape == (1, 4, 64, 64)


def test_a_step_computes_the_unet_on_two_rows_an_image() -> None:
    """Operations grow with the steps by those of two rows of the UNet, and with PLMS by one step's more."""

    def flops(model: Inferable, rows: int) -> int:
        batch = model.synthetic_batch(rows)
        with torch.inference_mode(), ModelFlops() as counted:
            model.served()(*model.inputs(batch))
        return int(counted.get_total_flops())

    step = flops(built_to_serve("sd_unet"), 2)
    two, five = (flops(model_of(steps=steps), 1) for steps in (2, 5))
    # The text's keys and values are the same in every step, and computed anew in each.
    assert five - two == 3 * step
    assert flops(model_of(steps=5, sampler="plms"), 1) == five + step


def test_the_score_is_a_hundred_cosines(tmp_path: Path) -> None:
    model = for_captions()
    data: Any = model.evaluation_data(dataset_spec(write_prompts(tmp_path)))
    assert len(data) == 3
    batch = model.collate([data[index] for index in range(3)])
    images = torch.randn(3, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    model.score((images,), batch)
    clip, scores = tiny_clip(), []
    for image, ids in zip(images, batch["input_ids"], strict=True):
        levels = np.round(np.clip(image.double().numpy() / 2 + 0.5, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        shown = Image.fromarray(levels).resize((24, 16), Image.Resampling.BICUBIC).crop((4, 0, 20, 16))
        mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
        pixels = torch.tensor(((np.asarray(shown) / 255 - mean) / deviation).transpose(2, 0, 1)[None]).float()
        until = ids.tolist().index(VOCABULARY - 1) + 1
        with torch.inference_mode():
            answer = clip(input_ids=ids[None, :until], pixel_values=pixels)
        one, two = answer.image_embeds[0].numpy(), answer.text_embeds[0].numpy()
        scores.append(100 * float(one @ two / np.linalg.norm(one) / np.linalg.norm(two)))
    assert float(model.metrics["clip_score"].compute()) == pytest.approx(np.mean(scores), abs=1e-3)
    assert np.std(scores) > 0.1


def test_the_judge_is_no_part_of_the_model(tmp_path: Path) -> None:
    model = for_captions()
    before = list(model.state_dict())
    model.evaluation_data(dataset_spec(write_prompts(tmp_path)))
    assert model.judge is not None and list(model.state_dict()) == before


def test_noise_depends_on_the_captions_place_alone(tmp_path: Path) -> None:
    data: Any = for_captions().evaluation_data(dataset_spec(write_prompts(tmp_path)))
    again = torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(2))
    assert torch.equal(data[2].noise, again) and not torch.equal(data[1].noise, again)
    assert data[0].tokens[-1] == VOCABULARY - 1, "padded with the end marker"


def test_random_requests_cannot_be_scored() -> None:
    model = model_of()
    data: Any = model.evaluation_data(sample_spec())
    batch = model.collate([data[0], data[1]])
    assert torch.equal(data[1]["noise"], data[1]["noise"]) and not torch.equal(data[0]["noise"], data[1]["noise"])
    with pytest.raises(DataError, match="data=dataset"):
        model.score((torch.zeros(2, 3, 16, 16),), batch)


@pytest.mark.parametrize("place", ["val.json", "annotations/val.json", "data_vizwiz/val.json"])
def test_captions_of_vizwiz_are_flagperfs_draw(tmp_path: Path, place: str) -> None:
    captions = [f"caption {number} {'x' * (number % 90)}" for number in range(400)]
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(vizwiz(captions))
    random.seed(0)
    wanted = random.sample([one for one in captions if len(one) < 77 - 2], 10)
    assert read_captions(tmp_path, READER) == wanted


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "Not JSON"),
        (b"[]", "Not VizWiz' captions"),
        (b'{"annotations": [{"caption": 3}]}', "Not VizWiz' captions"),
        (vizwiz(["a"] * 9).encode(), "Not VizWiz' captions"),
        (b"\xff\xfe{}", "Cannot read"),
    ],
)
def test_damaged_captions_are_named(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "val.json").write_bytes(content)
    with pytest.raises(DataError, match=problem) as raised:
        read_captions(tmp_path, READER)
    assert raised.value.where == str(tmp_path / "val.json")


def test_a_missing_or_empty_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No captions"):
        read_captions(tmp_path, READER)
    (tmp_path / "captions.txt").write_text("\n \n")
    with pytest.raises(DataError, match=r"No captions: .*captions\.txt"):
        read_captions(tmp_path, READER)


def test_a_judge_that_cannot_judge_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model, root = for_captions(), write_prompts(tmp_path)
    file = root / "clip/model.safetensors"
    tensors = load_file(file)
    save_file({name: one for name, one in tensors.items() if "projection" not in name}, file, {"format": "pt"})
    with pytest.raises(DataError, match="lacks 2 weights"):
        model.evaluation_data(dataset_spec(root))
    file.write_bytes(b"junk")
    with pytest.raises(DataError, match="No CLIP can be read"):
        model.evaluation_data(dataset_spec(root))
    tiny_clip(vocabulary=VOCABULARY + 1).save_pretrained(str(root / "clip"))
    with pytest.raises(DataError, match=f"knows {VOCABULARY + 1} tokens"):
        model.evaluation_data(dataset_spec(root))

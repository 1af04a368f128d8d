"""The CLIP on CIFAR-100: its prompts are the network's, its sizes the published ones, its logits by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cifar_samples import image_of, write_cifar
from laion_samples import VOCABULARY, write_tokenizer
from language_samples import dataset_spec, published, recipe, sample_spec
from PIL import Image
from torch.nn.functional import normalize
from zoo import built_to_serve

from models.datasets.base import DataError
from models.multimodal.videobert import VideoBert
from models.weights import load_weights, read_weights


def model_of(*, vocabulary: int = 640) -> VideoBert:
    text = recipe("videobert").architecture["text"] | {"vocabulary": vocabulary}
    model = built_to_serve("videobert", text=text)
    assert isinstance(model, VideoBert)
    return model


def write_data(root: Path, labels: list[int]) -> Path:
    write_cifar(root, labels)
    np.save(root / "text.npy", (np.arange(2400).reshape(100, 24) * 7 % 639).astype(np.int32))
    return root


def test_reference_has_the_parameters_of_vit_b_32() -> None:
    with torch.device("meta"):
        network = built_to_serve("videobert", "reference").network
    wanted = published("videobert").parameters
    assert wanted is not None
    assert sum(one.numel() for one in network.parameters()) == wanted.value == 151_277_313


def test_logits_are_scaled_cosines_with_every_prompt() -> None:
    model = model_of()
    image = model.synthetic_batch(3)["image"]
    with torch.inference_mode():
        (logits,) = model.served()(image)
        network: Any = model.network
        shown = network.visual_projection(network.vision_model(pixel_values=image).pooler_output)
        ends = [row.index(639) for row in model.prompts.tolist()]
        states = network.text_model(input_ids=model.prompts).last_hidden_state
        told = network.text_projection(torch.stack([states[row, end] for row, end in enumerate(ends)]))
    wanted = network.logit_scale.exp() * normalize(shown) @ normalize(told).T
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)


def test_the_data_brings_prompts_images_and_labels(tmp_path: Path) -> None:
    model = model_of()
    before = model.prompts.clone()
    data: Any = model.evaluation_data(dataset_spec(write_data(tmp_path, [5, 80])))
    assert model.prompts.tolist() == np.load(tmp_path / "text.npy").tolist() != before.tolist()
    batch = model.collate([data[0], data[1]])
    assert batch["label"].tolist() == [5, 80]
    mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    shown = Image.fromarray(image_of(1).transpose(1, 2, 0)).resize((32, 32), Image.Resampling.BICUBIC)
    pixels = ((np.asarray(shown) / 255 - mean) / deviation).transpose(2, 0, 1)
    assert np.abs(batch["image"][1].numpy() - pixels).max() < 1e-5
    logits = torch.zeros(2, 100)
    logits[0, 5] = logits[1, 3] = 1
    model.score((logits,), batch)
    assert float(model.metrics["top1"].compute()) == 0.5
    assert torch.equal(model.served().prompts, model.prompts)  # type: ignore[arg-type]


def test_without_tokens_the_prompts_are_openais(tmp_path: Path) -> None:
    model = model_of(vocabulary=VOCABULARY)
    write_cifar(tmp_path, [1])
    write_tokenizer(tmp_path)
    names = ["red"] * 99 + ["cat"]
    (tmp_path / "fine_label_names.txt").write_text("\n".join(names))
    model.evaluation_data(dataset_spec(tmp_path))
    assert torch.equal(model.prompts[0], model.prompts[98]) and not torch.equal(model.prompts[0], model.prompts[99])
    assert set(model.prompts[:, 0].tolist()) == {VOCABULARY - 2} and model.prompts[0, -1] == VOCABULARY - 1


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((100, 23), dtype=np.int64), r"Prompts \(100, 23\)"),
        (np.full((100, 24), 640), "not ids below 640"),
        (np.full((100, 24), -1), "not ids below 640"),
        (np.zeros((100, 24)), "float64 values"),
        (np.array([None]), "Not an array of tokens"),
    ],
)
def test_prompts_that_are_none_are_refused(tmp_path: Path, array: np.ndarray, problem: str) -> None:
    write_data(tmp_path, [5])
    np.save(tmp_path / "text.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=problem):
        model_of().evaluation_data(dataset_spec(tmp_path))


def test_calibration_reads_the_training_images(tmp_path: Path) -> None:
    model, root = model_of(), write_data(tmp_path, [5])
    assert model.calibration_data(sample_spec()) is None and model.calibration_data(dataset_spec(root)) is None
    write_cifar(root, [1, 2, 3], name="train.bin")
    data: Any = model.calibration_data(dataset_spec(root))
    assert [data[index].label for index in range(3)] == [1, 2, 3]


def test_random_images_cannot_be_scored() -> None:
    model = model_of()
    data: Any = model.evaluation_data(sample_spec())
    with pytest.raises(DataError, match="data=dataset"):
        model.score((torch.zeros(1, 100),), model.collate([data[0]]))


def test_the_published_checkpoint_fits(tmp_path: Path) -> None:
    """As transformers saves it, with the numbers of places of older versions."""
    source, model = model_of(), model_of()
    for parameter in source.network.parameters():
        torch.nn.init.normal_(parameter)
    tensors = source.network.state_dict() | {"text_model.embeddings.position_ids": torch.arange(24)[None]}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    load_weights(model.network, model.initial_weights(read_weights(tmp_path)), path=tmp_path)
    assert all(torch.equal(one, tensors[name]) for name, one in model.network.state_dict().items())

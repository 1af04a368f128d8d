"""SAM: prompts out of masks, masks back to the original image, IoU by hand, weights of Hugging Face's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coco_samples
import pytest
import torch
from language_samples import dataset_spec, recipe, sample_spec
from PIL import Image
from transformers import SamModel, SamVisionConfig
from zoo import built_to_serve

from models.datasets.base import DataError
from models.datasets.vision.letterbox import fit_of
from models.datasets.vision.prompted import PromptedObjects, innermost
from models.vision.segmentation.sam import Sam, in_original, intersection_over_union, sam_config
from models.weights import load_weights, read_weights


def tiny() -> Sam:
    model = built_to_serve("sam")
    assert isinstance(model, Sam)
    return model


def filled(height: int, width: int, *boxes: tuple[int, int, int, int]) -> torch.Tensor:
    """A mask of boxes (top, left, bottom, right)."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def test_the_reference_is_the_published_configuration() -> None:
    found = sam_config(recipe("sam", "reference").architecture)
    vision = found.vision_config
    # facebook/sam-vit-huge's config.json, and the defaults of everything that it does not name
    huge = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "mlp_dim": 5120}
    assert {name: getattr(vision, name) for name in huge} == huge and vision.global_attn_indexes == [7, 15, 23, 31]
    default = SamVisionConfig()
    for name in ("image_size", "patch_size", "window_size", "output_channels", "num_pos_feats", "layer_norm_eps"):
        assert getattr(vision, name) == getattr(default, name), name
    assert found.mask_decoder_config.to_dict() == type(found.mask_decoder_config)().to_dict()
    assert found.prompt_encoder_config.to_dict() == type(found.prompt_encoder_config)().to_dict()


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (filled(9, 9, (2, 3, 5, 6)), [4.5, 3.5]),
        (filled(20, 20, (0, 0, 3, 20), (3, 0, 20, 3), (10, 10, 19, 19)), [14.5, 14.5]),  # the thick part, not the mean
        (filled(5, 11, (0, 0, 5, 11)), [2.5, 2.5]),  # the image's edge is an edge
        (filled(4, 4, (3, 1, 4, 2)), [1.5, 3.5]),
    ],
)
def test_the_point_is_innermost(mask: torch.Tensor, expected: list[float]) -> None:
    assert innermost(mask).tolist() == expected


def test_the_largest_object_that_is_no_crowd_is_asked_for() -> None:
    masks = torch.stack([filled(8, 8, (0, 0, 2, 2)), filled(8, 8, (2, 2, 5, 6)), filled(8, 8, (0, 0, 8, 8))]).to(
        torch.uint8
    )
    target = {"masks": masks, "iscrowd": torch.tensor([0, 0, 1]), "image_id": torch.tensor([7])}
    data: Any = [{"image": torch.zeros(3, 8, 8), "target": target}]
    asked = PromptedObjects(data, [0])[0]
    assert torch.equal(asked.mask, masks[1].bool()) and asked.mask[int(asked.point[1]), int(asked.point[0])]
    target["masks"] = torch.zeros_like(masks)
    with pytest.raises(DataError, match=r"No object .* image_id 7"):
        PromptedObjects(data, [0])[0]


def test_iou_by_hand() -> None:
    found, truth = filled(10, 10, (0, 0, 4, 5)), filled(10, 10, (2, 0, 6, 5))
    assert float(intersection_over_union(found, truth)) == 10 / 30
    assert float(intersection_over_union(torch.zeros_like(truth), truth)) == 0.0


def test_masks_return_to_the_originals_size() -> None:
    # An image of 20 x 40 pixels in a square of 64: 32 rows of it are picture, of the mask's 16 rows the upper 8.
    fit = fit_of(20, 40, 64, centred=False)
    mask = torch.full((16, 16), -5.0)
    mask[:8, :8] = 5.0
    found = in_original(mask, fit, 64) > 0
    assert found.shape == (20, 40)
    # but for a pixel in the corner, where the edge of the mask and that of the picture meet
    assert float(intersection_over_union(found, filled(20, 40, (0, 0, 20, 20)))) == 1 - 1 / 400


def test_the_mask_thought_best_is_scored() -> None:
    model = tiny()
    data = model.evaluation_data(sample_spec())
    batch = model.collate([data[index] for index in range(2)])
    right = torch.stack([one[2::4, 2::4].float() * 20 - 10 for one in batch["masks"]])
    nothing = torch.full_like(right, -10.0)
    masks = torch.stack([nothing, right, nothing], dim=1)
    model.score((masks, torch.tensor([[0.1, 0.9, 0.2]] * 2)), batch)
    best = float(model.metrics["mask_iou"].compute())
    assert 0.6 < best < 1.0, "a quarter of the resolution loses something"
    model.score((masks, torch.tensor([[0.9, 0.1, 0.2]] * 2)), batch)
    assert float(model.metrics["mask_iou"].compute()) == pytest.approx(best / 2)


def test_takes_hugging_faces_weights_and_answers_as_its_network(tmp_path: Path) -> None:
    torch.manual_seed(5)
    theirs = SamModel(sam_config(recipe("sam").architecture)).eval()
    theirs.save_pretrained(tmp_path)
    model = tiny()
    load_weights(model.network, model.initial_weights(read_weights(tmp_path)), path=tmp_path)
    batch = model.synthetic_batch(2)
    with torch.inference_mode():
        masks, scores = model.served()(*model.inputs(batch))
        expected = theirs(pixel_values=batch["image"], input_points=batch["point"].reshape(2, 1, 1, 2))
    assert masks.shape == (2, 3, 32, 32) and scores.shape == (2, 3)
    assert torch.equal(masks, expected.pred_masks[:, 0]) and torch.equal(scores, expected.iou_scores[:, 0])


def test_coco_is_resized_normalised_and_filled(tmp_path: Path) -> None:
    content = coco_samples.instances()
    for folder in ("annotations", "val2017"):
        (tmp_path / folder).mkdir()
    for image in content["images"]:
        Image.new("RGB", (image["width"], image["height"]), (255, 255, 255)).save(
            tmp_path / "val2017" / image["file_name"]
        )
    coco_samples.write(tmp_path, "val", content)
    model = tiny()
    data = model.evaluation_data(dataset_spec(tmp_path))
    assert len(data) == 3, "images 2 and 5 have no object but a crowd"  # type: ignore[arg-type]
    batch = model.collate([data[0]])
    # 60 x 40 pixels become 64 x 43; the square of x 10..30, y 8..24 has its innermost pixels in rows 15 and 16.
    assert batch["masks"][0].sum() == 320 and batch["fits"][0][:4] == (43, 64, 0, 0)
    assert (batch["image"][0, :, 43:] == 0).all()
    white = [(1 - mean) / deviation for mean, deviation in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert batch["image"][0, :, 20, 20].tolist() == pytest.approx(white, abs=1e-4)
    x, y = batch["point"][0].tolist()
    assert 17.5 <= x * 60 / 64 <= 22.5 and 15.4 <= y * 40 / 43 <= 16.6
    (tmp_path / "annotations/instances_val2017.json").write_text("{}")
    with pytest.raises(DataError):
        model.evaluation_data(dataset_spec(tmp_path))

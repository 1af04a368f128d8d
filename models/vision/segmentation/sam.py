"""Segment Anything (Kirillov et al., arXiv:2304.02643), served: FlagPerf inference/sam_h (facebook/sam-vit-huge).

From an image and one point on an object to three masks, and how good the network thinks each is. FlagPerf's accuracy is
the share of equal values between the masks of two precisions of the network; here it is the intersection over union of
the mask that the network thinks best with the object's own.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import Dataset
from transformers import SamConfig, SamModel

from models.datasets.base import Batch, Counts
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.datasets.vision.coco import LAYOUT, SOURCE, CocoInstances
from models.datasets.vision.images import normalise
from models.datasets.vision.letterbox import Fit, fit_of, fitted
from models.datasets.vision.prompted import Prompted, PromptedObjects, prompted_coco
from models.datasets.vision.scenes import DigitScenes
from models.inferable import Inferable, Tensors
from models.metrics import Mean
from models.recipe import Recipe

SCENES = 512


class Sam(Inferable):
    """Masks of objects that are pointed at; accuracy is `mask_iou`, the mean over objects. The unit is the image.

    Architecture fields: `image_size` (edge of the square, pixels), `patch_size`, `window` (edge in patches), `layers`,
    `heads`, `hidden`, `feed_forward`, `global_layers` (numbers of the image encoder's layers that attend to the whole
    image), `channels` (of prompts and masks), `decoder_heads`, `decoder_feed_forward`.
    """

    input_names: ClassVar[tuple[str, ...]] = ("image", "point")
    output_names: ClassVar[tuple[str, ...]] = ("masks", "scores")

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.image_size = int(recipe.architecture["image_size"])
        self.network = SamModel(sam_config(recipe.architecture)).requires_grad_(False)
        self.metrics = {"mask_iou": Mean()}

    def served(self) -> nn.Module:
        """Image [batch, 3, size, size] and point [batch, 2] in its pixels to three masks and their expected IoU.

        Masks are logits, [batch, 3, rows, columns] of four rows and columns a patch; expectations are [batch, 3].
        """
        return PointToMasks(self.network)

    def inputs(self, batch: Batch) -> Tensors:
        """Images and points."""
        return batch["image"], batch["point"]

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Compare the mask thought best with the truth, in the pixels of the original image."""
        masks, scores = outputs
        rows = zip(masks.float(), scores.argmax(dim=1).tolist(), batch["fits"], batch["masks"], strict=True)
        for candidates, best, fit, truth in rows:
            found = in_original(candidates[best], fit, self.image_size) > 0
            self.metrics["mask_iou"].update(intersection_over_union(found, truth))

    def evaluation_data(self, spec: DataSpec) -> Dataset[Prompted]:
        """The largest object of each image of COCO's val2017 under `spec.root`, or of scenes of digits."""
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=SOURCE)
            return prompted_coco(CocoInstances(root, "val"))
        return self._scenes("evaluation")

    def calibration_data(self, spec: DataSpec) -> Dataset[Prompted] | None:
        """Other scenes of the sample; none of COCO, whose evaluation part alone is read."""
        return None if spec.name == "dataset" else self._scenes("train")

    def _scenes(self, split: Any) -> PromptedObjects:
        size = (self.image_size, self.image_size)
        return PromptedObjects(DigitScenes(split=split, length=SCENES, size=size), range(SCENES))

    def collate(self, examples: list[Prompted]) -> Batch:
        """`image` [batch, 3, size, size], `point` [batch, 2], and lists of the originals' `fits` and `masks`.

        Images are normalised before their squares are filled with zeros.
        """
        sizes = (one.image.shape[-2:] for one in examples)
        fits = [fit_of(height, width, self.image_size, centred=False) for height, width in sizes]
        paired = list(zip(examples, fits, strict=True))
        images = [fitted(normalise(one.image), fit, self.image_size, fill=0.0) for one, fit in paired]
        points = [one.point * one.point.new_tensor(_factors(fit)) for one, fit in paired]
        masks = [one.mask for one in examples]
        return {"image": torch.stack(images), "point": torch.stack(points), "fits": fits, "masks": masks}

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Noise, points anywhere and whole images as masks."""
        size = self.image_size
        fit = fit_of(size, size, size, centred=False)
        image, point = torch.randn(batch_size, 3, size, size), size * torch.rand(batch_size, 2)
        mask = torch.ones(size, size, dtype=torch.bool)
        return {"image": image, "point": point, "fits": [fit] * batch_size, "masks": [mask] * batch_size}

    def count(self, batch: Batch) -> Counts:
        """Images."""
        return Counts(samples=len(batch["image"]))


class PointToMasks(nn.Module):
    """The network for one point on one object."""

    def __init__(self, network: SamModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, point: Tensor) -> Tensors:
        """Masks and their scores."""
        found = self.network(pixel_values=image, input_points=point[:, None, None], multimask_output=True)
        return found.pred_masks[:, 0], found.iou_scores[:, 0]


def sam_config(architecture: dict[str, Any]) -> SamConfig:
    """The configuration of Hugging Face's network."""
    size, patch, channels = (int(architecture[name]) for name in ("image_size", "patch_size", "channels"))
    decoder = {"num_attention_heads": architecture["decoder_heads"], "mlp_dim": architecture["decoder_feed_forward"]}
    return SamConfig(
        vision_config={
            "hidden_size": architecture["hidden"],
            "output_channels": channels,
            "num_hidden_layers": architecture["layers"],
            "num_attention_heads": architecture["heads"],
            "mlp_dim": architecture["feed_forward"],
            "image_size": size,
            "patch_size": patch,
            "window_size": architecture["window"],
            "global_attn_indexes": list(architecture["global_layers"]),
            "num_pos_feats": channels // 2,
            "initializer_range": 0.02,  # the library's 1e-10 makes a random network that sees nothing
        },
        prompt_encoder_config={"hidden_size": channels, "image_size": size, "patch_size": patch},
        mask_decoder_config={"hidden_size": channels, "iou_head_hidden_dim": channels, **decoder},
    )


def in_original(mask: Tensor, fit: Fit, size: int) -> Tensor:
    """Logits of a mask [rows, columns] of the square, at the size of the original image."""
    square = interpolate(mask[None, None], (size, size), mode="bilinear", align_corners=False)
    inside = square[..., : fit.height, : fit.width]
    return interpolate(inside, fit.original, mode="bilinear", align_corners=False)[0, 0]


def intersection_over_union(found: Tensor, truth: Tensor) -> Tensor:
    """Pixels in both ÷ pixels in either, two masks of booleans; the truth holds at least one."""
    return (found & truth).sum().double() / (found | truth).sum().double()


def _factors(fit: Fit) -> list[float]:
    height, width = fit.original
    return [fit.width / width, fit.height / height]

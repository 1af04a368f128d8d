"""YOLOv5: objects in one stage over anchors, served.

Reference: FlagPerf inference/yolov5 (yolov5l), ByteMLPerf yolov5-onnx-fp32 (yolov5s). Images are letterboxed to
a fixed square, as a compiled network needs them; Ultralytics' own evaluation pads each batch to the least rectangle,
and its figures differ a little from those of squares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.ops import batched_nms, box_convert

from models.datasets.base import Batch, Counts
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.datasets.vision.coco import LAYOUT, SOURCE, CocoInstances
from models.datasets.vision.coco_map import CocoMeanAveragePrecision
from models.datasets.vision.letterbox import Fit, fit_of, fitted
from models.datasets.vision.scenes import DIGITS, DigitScenes
from models.inferable import Inferable, Tensors
from models.recipe import STRICT, Recipe
from models.vision.detection.yolov5_network import BOX, YoloV5Network
from models.weights import InitialWeights

UNUSED = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
CATEGORIES = [number for number in range(1, 91) if number not in UNUSED]
"""COCO's category numbers in order: what the network's classes 0 to 79 stand for."""
SCENES = 512
GREY = 114 / 255
"""What surrounds an image."""
CANDIDATES = 30_000
"""Answers of an image that suppression looks at, the best ones, as published."""
WRAPPED = re.compile(r"^(?:model\.)*(?=model\.\d+\.)")


@dataclass(kw_only=True, slots=True)
class YoloV5Architecture:
    """Keys of `model.architecture`."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    classes: int = 80
    image_size: int = 640
    """Edge of the square in pixels, a multiple of 32."""
    depth: float = 1.0
    width: float = 1.0
    """Factors of blocks and channels: 1 and 1 are yolov5l, 0.33 and 0.5 yolov5s."""
    confidence: float = 0.001
    """Probability below which an answer is dropped."""
    overlap: float = 0.6
    """Intersection over union from which a box is suppressed by a better one of its class."""
    detections: int = 300
    """Of an image, at most; COCO's metric looks at the best 100."""

    def __post_init__(self) -> None:
        if self.image_size % 32:
            raise ValueError(f"model.architecture.image_size must be a multiple of 32, not {self.image_size}")
        if self.classes > len(CATEGORIES):
            raise ValueError(f"COCO has {len(CATEGORIES)} classes; model.architecture.classes is {self.classes}")


class YoloV5(Inferable):
    """Boxes; accuracy is `box_map`, COCO's mAP@[.5:.95] as a fraction. The unit is the image."""

    input_names: ClassVar[tuple[str, ...]] = ("image",)
    output_names: ClassVar[tuple[str, ...]] = ("boxes", "probabilities")

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.architecture = TypeAdapter(YoloV5Architecture).validate_python(recipe.architecture)
        sizes = {name: getattr(self.architecture, name) for name in ("classes", "depth", "width")}
        self.network = YoloV5Network(**sizes)
        self.metrics = {"box_map": CocoMeanAveragePrecision("bbox")}

    def begin_serving(self) -> None:
        """Wider random weights: under torch's own the image fades from layer to layer, and all answers are the same."""
        for layer in self.network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def served(self) -> nn.Module:
        """Images [batch, 3, edge, edge] to boxes [batch, answers, 4], probabilities [batch, answers, 1 + classes]."""
        return BoxesAndProbabilities(self.network)

    def inputs(self, batch: Batch) -> Tensors:
        """The letterboxed images."""
        return (batch["image"],)

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Suppress what is found twice, and compare boxes in the pixels of the original images."""
        found = []
        whole = torch.cat([one.float() for one in outputs], dim=-1)
        for answers, fit in zip(whole, batch["fits"], strict=True):
            one = detections(answers, self.architecture)
            found.append({**one, "boxes": fit.to_original(one["boxes"])})
        self.metrics["box_map"].update(found, batch["targets"])

    def evaluation_data(self, spec: DataSpec) -> Dataset[Any]:
        """COCO's val2017 under `spec.root`, or digits in front of photographs."""
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=SOURCE)
            return Letterboxed(CocoInstances(root, "val", masks=False), self.architecture.image_size)
        return self._scenes("evaluation")

    def calibration_data(self, spec: DataSpec) -> Dataset[Any] | None:
        """Other scenes of the sample; none of COCO, whose evaluation part alone is read."""
        return None if spec.name == "dataset" else self._scenes("train")

    def _scenes(self, split: Any) -> Dataset[Any]:
        size = self.architecture.image_size
        classes = min(DIGITS, self.architecture.classes)
        return Letterboxed(DigitScenes(split=split, length=SCENES, size=(size, size), classes=classes), size)

    def collate(self, examples: list[Any]) -> Batch:
        """`image` float32 [batch, 3, size, size] in 0..1; `fits` and `targets`, a list each."""
        return {
            "image": torch.stack([one["image"] for one in examples]),
            "fits": [one["fit"] for one in examples],
            "targets": [one["target"] for one in examples],
        }

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Noise without objects."""
        size = self.architecture.image_size
        fit = fit_of(size, size, size, centred=True)
        nothing = {"boxes": torch.zeros(0, 4), "area": torch.zeros(0)}
        nothing |= {name: torch.zeros(0, dtype=torch.int64) for name in ("labels", "iscrowd")}
        targets = [{**nothing, "image_id": torch.tensor([number])} for number in range(batch_size)]
        return {"image": torch.rand(batch_size, 3, size, size), "fits": [fit] * batch_size, "targets": targets}

    def count(self, batch: Batch) -> Counts:
        """Images."""
        return Counts(samples=len(batch["image"]))

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """The `state_dict` of Ultralytics' model, whatever it is wrapped in; layers not fused."""
        return InitialWeights({WRAPPED.sub("", name): tensor for name, tensor in weights.items()})


class BoxesAndProbabilities(nn.Module):
    """The network's answers in two: beside hundreds of pixels, no error of a probability would be seen."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensors:
        """Boxes, and the probabilities of an object and of each class."""
        answers = self.network(image)
        return answers[..., : BOX - 1], answers[..., BOX - 1 :]


class Letterboxed(Dataset[Any]):
    """Examples with their image in the middle of a grey square; targets stay in the original's pixels."""

    def __init__(self, examples: Dataset[Any], size: int) -> None:
        self.examples, self.size = examples, size

    def __len__(self) -> int:
        return len(self.examples)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self.examples[index]
        height, width = example["image"].shape[-2:]
        fit: Fit = fit_of(height, width, self.size, centred=True)
        return {**example, "image": fitted(example["image"], fit, self.size, fill=GREY), "fit": fit}


def detections(answers: Tensor, options: YoloV5Architecture) -> dict[str, Tensor]:
    """What one image's answers [N, 5 + classes] come to: `boxes` [M, 4] in the square, `labels`, `scores`.

    A box may be of several classes; its score is the product of both probabilities. `labels` are COCO's numbers.
    """
    answers = answers[answers[:, BOX - 1] > options.confidence]
    scores = answers[:, BOX:] * answers[:, BOX - 1 : BOX]
    row, kind = (scores > options.confidence).nonzero(as_tuple=True)
    boxes, scores = box_convert(answers[row, : BOX - 1], "cxcywh", "xyxy"), scores[row, kind]
    best = scores.argsort(descending=True, stable=True)[:CANDIDATES]
    kept = best[batched_nms(boxes[best], scores[best], kind[best], options.overlap)][: options.detections]
    labels = torch.tensor(CATEGORIES)[kind[kept]]
    return {"boxes": boxes[kept], "labels": labels, "scores": scores[kept]}

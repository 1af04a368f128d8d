"""YOLOv5: decoding and suppression by hand, names of the published checkpoint, COCO read and scored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import coco_samples
import pytest
import torch
from language_samples import dataset_spec, recipe, sample_spec
from PIL import Image
from torch import Tensor, nn
from zoo import built_to_serve, model_class

from models.datasets.base import DataError
from models.vision.detection.yolov5 import CATEGORIES, YoloV5, YoloV5Architecture, detections
from models.vision.detection.yolov5_network import AnchoredBoxes, YoloV5Network
from models.weights import load_weights
from runner.serving.numerics import compare, indistinct, problems


def tiny() -> YoloV5:
    model = built_to_serve("yolov5s")
    assert isinstance(model, YoloV5)
    return model


def logit(value: float) -> float:
    return math.log(value / (1 - value))


def test_an_image_of_640_pixels_has_25_200_answers() -> None:
    with torch.device("meta"):
        answers = YoloV5Network(classes=80, depth=0.33, width=0.5).eval()(torch.zeros(2, 3, 640, 640))
    assert answers.shape == (2, 25_200, 85)


def test_names_are_those_of_the_published_checkpoint() -> None:
    # Of yolov5s.pt, version 6: the first and last layers, a block within a stage, the pooling, and their shapes.
    with torch.device("meta"):
        shapes = {
            name: tuple(one.shape)
            for name, one in YoloV5Network(classes=80, depth=0.33, width=0.5).state_dict().items()
        }
    expected = {
        "model.0.conv.weight": (32, 3, 6, 6),
        "model.0.bn.running_var": (32,),
        "model.2.m.0.cv2.conv.weight": (32, 32, 3, 3),
        "model.4.m.1.cv1.conv.weight": (64, 64, 1, 1),
        "model.6.m.2.cv2.bn.num_batches_tracked": (),
        "model.9.cv2.conv.weight": (512, 1024, 1, 1),
        "model.13.cv1.conv.weight": (128, 512, 1, 1),
        "model.23.cv3.conv.weight": (512, 512, 1, 1),
        "model.24.anchors": (3, 3, 2),
        "model.24.m.0.weight": (255, 128, 1, 1),
        "model.24.m.2.bias": (255,),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    # 57 convolutions with a norm of five tensors each, three with a bias, and the anchors.
    convolutions = sum(name.endswith(".conv.weight") for name in shapes)
    assert (convolutions, len(shapes)) == (57, 57 * 6 + 3 * 2 + 1)


def test_boxes_are_decoded_as_ultralytics_documents() -> None:
    """One answer by hand, at row 1 and column 2 of the second stride with its third anchor of 59 x 119 pixels."""
    head = AnchoredBoxes((1, 1, 1), classes=2)
    levels = [torch.zeros(1, 1, size, size) for size in (8, 4, 2)]
    raw = torch.tensor([0.3, 0.9, 0.6, 0.25, 0.8, 0.1, 0.7])
    for convolution in head.m:
        nn.init.zeros_(convolution.weight)
        convolution.bias.data.copy_(torch.tensor([logit(one) for one in raw.tolist()]).repeat(3))
    answers = head(*levels)[0]
    assert answers.shape == (3 * (64 + 16 + 4), 7)
    answer = answers[3 * 64 + 2 * 16 + 1 * 4 + 2]
    x, y = (2 * 0.3 - 0.5 + 2) * 16, (2 * 0.9 - 0.5 + 1) * 16
    expected = [x, y, (2 * 0.6) ** 2 * 59, (2 * 0.25) ** 2 * 119, 0.8, 0.1, 0.7]
    assert torch.allclose(answer, torch.tensor(expected), rtol=1e-5)


def test_the_network_is_the_published_graph() -> None:
    """Layer by layer as models/yolov5s.yaml writes it: number of the source, kind, arguments."""
    network = YoloV5Network(classes=10, depth=0.33, width=0.125).eval()
    layers = network.model
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        kept: dict[int, Tensor] = {-1: image}
        for number in range(10):
            kept[number] = layers[number](kept[number - 1])
        ten = layers[10](kept[9])
        up = nn.functional.interpolate(ten, scale_factor=2)
        fourteen = layers[14](layers[13](torch.cat([up, kept[6]], 1)))
        up = nn.functional.interpolate(fourteen, scale_factor=2)
        small = layers[17](torch.cat([up, kept[4]], 1))
        middle = layers[20](torch.cat([layers[18](small), fourteen], 1))
        large = layers[23](torch.cat([layers[21](middle), ten], 1))
        assert torch.equal(network(image), layers[24](small, middle, large))
    assert [tuple(one.shape[-2:]) for one in (small, middle, large)] == [(8, 8), (4, 4), (2, 2)]
    assert layers[2].m[0].shortcut and not layers[17].m[0].shortcut
    assert {one.eps for one in network.modules() if isinstance(one, nn.BatchNorm2d)} == {1e-3}


@pytest.mark.parametrize("prefix", ["", "model.", "model.model."])
def test_a_checkpoint_of_half_precision_is_read_however_it_is_wrapped(prefix: str) -> None:
    theirs = YoloV5Network(classes=10, depth=0.33, width=0.125)
    weights = {
        f"{prefix}{name}": one.half() if one.is_floating_point() else one for name, one in theirs.state_dict().items()
    }
    weights[f"{prefix}model.24.anchors"] = torch.full((3, 3, 2), 1.5)
    model = tiny()
    load_weights(model.network, model.initial_weights(weights), path=Path("yolov5s.pt"))
    assert torch.equal(model.network.state_dict()["model.0.conv.weight"], theirs.model[0].conv.weight.half().float())
    assert (model.network.state_dict()["model.24.anchors"] == 1.5).all(), "anchors that were fitted to other data"


def test_a_fused_checkpoint_is_refused() -> None:
    model = tiny()
    weights = {name: one for name, one in model.network.state_dict().items() if ".bn." not in name}
    with pytest.raises(DataError, match="missing"):
        load_weights(model.network, model.initial_weights(weights), path=Path("yolov5s.pt"))


def answer(box: tuple[float, ...], present: float, *classes: float) -> list[float]:
    return [*box, present, *classes]


def test_suppression_by_hand() -> None:
    options = YoloV5Architecture(classes=2, confidence=0.05, overlap=0.5)
    rows = [
        answer((20, 20, 20, 20), 0.9, 0.8, 0.01),  # class 0: 0.72; class 1: 0.009, dropped
        answer((22, 20, 20, 20), 0.9, 0.7, 0.02),  # IoU 18/22 with the first: suppressed
        answer((30, 20, 20, 20), 0.8, 0.5, 0.6),  # IoU 10/30: kept in both classes
        answer((60, 60, 8, 4), 0.04, 1.0, 1.0),  # no object
    ]
    found = detections(torch.tensor(rows), options)
    assert found["labels"].tolist() == [1, 2, 1]
    assert found["scores"].tolist() == pytest.approx([0.72, 0.48, 0.4])
    assert found["boxes"].tolist() == [[10.0, 10.0, 30.0, 30.0], [20.0, 10.0, 40.0, 30.0], [20.0, 10.0, 40.0, 30.0]]
    options.detections = 1
    assert detections(torch.tensor(rows), options)["scores"].tolist() == pytest.approx([0.72])
    assert len(detections(torch.zeros(5, 7), options)["boxes"]) == 0


def test_classes_are_cocos_categories() -> None:
    assert len(CATEGORIES) == 80
    # person, stop sign, parking meter, backpack, wine glass, dining table, toilet, tv, book, toothbrush
    indices = (0, 11, 12, 24, 40, 60, 61, 62, 73, 79)
    assert [CATEGORIES[one] for one in indices] == [1, 13, 14, 27, 46, 67, 70, 72, 84, 90]


def right_answers(batch: dict[str, Any], classes: int) -> Tensor:
    """What a perfect network would give for a batch, in the square's pixels."""
    most = max(len(one["labels"]) for one in batch["targets"])
    answers = torch.zeros(len(batch["fits"]), most, 5 + classes)
    for row, (target, fit) in enumerate(zip(batch["targets"], batch["fits"], strict=True)):
        for place, (box, label) in enumerate(zip(target["boxes"], target["labels"], strict=True)):
            across, down = fit.width / fit.original[1], fit.height / fit.original[0]
            x1, y1, x2, y2 = (box * torch.tensor([across, down] * 2) + torch.tensor([fit.left, fit.top] * 2)).tolist()
            answers[row, place, :4] = torch.tensor([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
            answers[row, place, 4] = answers[row, place, 5 + CATEGORIES.index(int(label))] = 0.9
    return answers


def outputs_of(answers: Tensor) -> tuple[Tensor, Tensor]:
    return answers[..., :4], answers[..., 4:]


def test_wrong_probabilities_are_seen_beside_the_boxes() -> None:
    """An engine that finds nothing at all is within 40 dB of the answers as one tensor, more than bf16 asks for."""
    model = YoloV5(recipe("yolov5s"))
    torch.manual_seed(0)
    with torch.inference_mode():
        right = model.served().eval()(model.inputs(model.synthetic_batch(1))[0])
    wrong = (right[0], torch.zeros_like(right[1]))
    joined = compare([(torch.cat(wrong, dim=-1),)], [(torch.cat(right, dim=-1),)], ("answers",))
    assert not problems(joined, 20), "which is why there are two outputs"
    (found,) = problems(compare([wrong], [right], model.output_names), 20)
    assert found.startswith("probabilities has a signal-to-noise ratio of 0.0 dB")


def test_random_weights_let_the_image_through() -> None:
    """Under torch's own, answers to two images lie within 120 dB of each other: float32's rounding."""
    model = tiny()
    torch.manual_seed(0)
    with torch.inference_mode():
        answers = model.served().eval()(*model.inputs(model.served_batch(2)))
    assert indistinct([answers], model.output_names, 50) == []


def test_right_answers_about_the_sample_reach_one_and_moved_ones_less() -> None:
    model = tiny()
    data = model.evaluation_data(sample_spec())
    batch = model.collate([data[index] for index in range(6)])
    answers = right_answers(batch, 10)
    model.score(outputs_of(answers), batch)
    assert float(model.metrics["box_map"].compute()) == pytest.approx(1.0)
    model.metrics["box_map"].reset()
    answers[..., 0] += 0.2 * answers[..., 2]  # IoU 0.8 / 1.2: right at 0.5, 0.55, 0.6 and 0.65 of ten thresholds
    model.score(outputs_of(answers), batch)
    assert float(model.metrics["box_map"].compute()) == pytest.approx(0.4, abs=0.06)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    content = coco_samples.instances()
    for folder in ("annotations", "val2017"):
        (tmp_path / folder).mkdir()
    for image in content["images"]:
        Image.new("RGB", (image["width"], image["height"]), (200, 30, 90)).save(
            tmp_path / "val2017" / image["file_name"]
        )
    coco_samples.write(tmp_path, "val", content)
    return tmp_path


def test_coco_is_letterboxed_and_scored_in_its_own_pixels(coco: Path) -> None:
    reference = recipe("yolov5s")
    reference.architecture["classes"] = 80
    model: Any = model_class("yolov5s")(reference)
    data = model.evaluation_data(dataset_spec(coco))
    assert len(data) == 5 and model.calibration_data(dataset_spec(coco)) is None
    batch = model.collate([data[index] for index in range(5)])
    assert batch["image"].shape == (5, 3, 64, 64)
    # 60 x 40 pixels in 64: 43 rows of picture, 10 of grey above them
    assert batch["fits"][0] == (43, 64, 10, 0, (40, 60))
    grey, red = batch["image"][0, :, 5, 30], batch["image"][0, :, 30, 30]
    assert torch.allclose(grey * 255, torch.full((3,), 114.0))
    assert torch.allclose(red * 255, torch.tensor([200.0, 30.0, 90.0]), atol=2), "but for what JPEG loses"
    model.score(outputs_of(right_answers(batch, 80)), batch)
    # The person's box is annotated 60 pixels wide of which 50 are in the image: IoU 5/6, right at 7 of 10 thresholds.
    assert float(model.metrics["box_map"].compute()) == pytest.approx((1 + 0.7) / 2)


def test_a_coco_without_val_is_refused(coco: Path) -> None:
    (coco / "val2017/000000000001.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 5 images .*missing"):
        tiny().evaluation_data(dataset_spec(coco))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"image_size": 100}, "multiple of 32"), ({"classes": 81}, "80 classes"), ({"overlaps": 1}, "overlaps")],
)
def test_architectures_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    reference = recipe("yolov5s")
    reference.architecture.update(change)
    with pytest.raises(ValueError, match=message):
        model_class("yolov5s")(reference)


def test_noise_has_the_form_of_the_sample() -> None:
    model = tiny()
    data = model.evaluation_data(sample_spec())
    batch, noise = model.collate([data[0], data[1]]), model.synthetic_batch(2)
    assert batch.keys() == noise.keys() and batch["image"].shape == noise["image"].shape
    model.score((torch.zeros(2, 3, 15),), noise)
    assert model.count(noise).samples == 2

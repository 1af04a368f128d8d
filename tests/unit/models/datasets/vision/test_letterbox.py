"""An image in a square, and boxes back to its own pixels."""

from __future__ import annotations

import pytest
import torch

from models.datasets.vision.letterbox import fit_of, fitted


def test_a_wide_photograph_lies_in_the_middle() -> None:
    # COCO's commonest size: 640 x 480 in 640 is neither enlarged nor reduced, 80 rows are above and below.
    fit = fit_of(480, 640, 640, centred=True)
    assert fit[:4] == (480, 640, 80, 0)
    image = torch.rand(3, 480, 640)
    square = fitted(image, fit, 640, fill=0.25)
    assert square.shape == (3, 640, 640)
    assert torch.equal(square[:, 80:560], image)
    assert (square[:, :80] == 0.25).all() and (square[:, 560:] == 0.25).all()


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (500, 333, (640, 426, 0, 107)),  # 333 x 1.28 = 426.24; (640 - 426) / 2 = 107
        (427, 640, (427, 640, 106, 0)),  # 213 rows to fill: 106 above, 107 below
        (60, 40, (640, 427, 0, 106)),
    ],
)
def test_sizes_and_margins(height: int, width: int, expected: tuple[int, ...]) -> None:
    fit = fit_of(height, width, 640, centred=True)
    assert fit[:4] == expected
    assert fitted(torch.zeros(3, height, width), fit, 640, fill=1.0).shape == (3, 640, 640)
    assert fit_of(height, width, 640, centred=False)[:4] == (*expected[:2], 0, 0)


def test_boxes_return_to_the_originals_pixels_and_stay_inside() -> None:
    fit = fit_of(100, 200, 400, centred=True)  # doubled: 200 x 400, 100 rows above and below
    found = fit.to_original(torch.tensor([[20.0, 120.0, 60.0, 180.0], [-10.0, 0.0, 500.0, 400.0]]))
    assert found.tolist() == [[10.0, 10.0, 30.0, 40.0], [0.0, 0.0, 200.0, 100.0]]

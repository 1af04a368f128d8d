"""Photographs as OpenAI's CLIP sees them: the shorter edge resized, bicubic, the centre cut out, its own mean."""

from __future__ import annotations

import torch
from torchvision.transforms import v2

from models.datasets.vision.views import View

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of RGB values between 0 and 1 (openai/CLIP, clip.py)."""


def clip_view(size: int) -> View:
    """From a PIL image to float32 [3, size, size]."""
    bicubic = v2.Resize(size, interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    numbers = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, DEVIATION)]
    view: View = v2.Compose([bicubic, v2.CenterCrop(size), *numbers])
    return view

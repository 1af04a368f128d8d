"""How well images fit their captions by a CLIP: 100 times the cosine of the two embeddings (arXiv:2104.08718).

As torchmetrics' CLIPScore, which FlagPerf uses. The CLIP is a folder that the user gives; it is read, never downloaded,
and runs in float32 on the host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from models.datasets.multimodal.clip_images import clip_view
from models.datasets.reading import Reader

FOLDER = "clip"


class ClipJudge:
    """A CLIP in a folder as transformers saves it."""

    def __init__(self, folder: Path, reader: Reader, *, vocabulary: int) -> None:
        """Read it.

        Args:
            folder: holds `config.json` and the weights.
            reader: of the data set that the folder is part of.
            vocabulary: ids of the captions that it will be shown.

        Raises:
            DataError: there is no CLIP, it lacks weights, or it has other tokens.
        """
        from transformers import CLIPModel

        with reader.reading(folder, "No CLIP can be read"):
            found: tuple[Any, dict[str, Any]] = CLIPModel.from_pretrained(
                str(folder), local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
        self._clip, told = found[0].eval(), found[1]
        if missing := sorted(told["missing_keys"]):
            raise reader.error(f"The CLIP lacks {len(missing)} weights ({missing[0]} …)", folder)
        if self._clip.config.text_config.vocab_size != vocabulary:
            known = self._clip.config.text_config.vocab_size
            raise reader.error(f"The CLIP knows {known} tokens, the captions have {vocabulary}", folder)
        self._view = clip_view(int(self._clip.config.vision_config.image_size))

    @torch.no_grad()
    def __call__(self, images: Tensor, input_ids: Tensor) -> Tensor:
        """Scores float32 (batch,).

        Args:
            images: (batch, 3, height, width), -1 to 1; what lies beyond is cut off, and 256 levels are left.
            input_ids: (batch, length), in OpenAI's form.
        """
        levels = ((images.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        pixels = torch.stack([self._view(Image.fromarray(one.permute(1, 2, 0).numpy())) for one in levels])
        answer = self._clip(input_ids=input_ids, pixel_values=pixels)
        # Both have length 1.
        scores: Tensor = 100 * (answer.image_embeds * answer.text_embeds).sum(dim=1)
        return scores

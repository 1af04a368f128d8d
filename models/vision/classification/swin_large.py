"""Swin-L at 384 pixels with windows of 12 patches: ByteMLPerf swin-large-torch-fp32."""

from __future__ import annotations

import re

from torch import Tensor

from models.datasets.vision.views import Views, squeezed_bicubic, swin_views
from models.vision.classification.published_names import joined_projections, renamed
from models.vision.classification.swin_transformer import SwinTransformer
from models.weights import InitialWeights

RULES = {
    r"^swin\.embeddings\.patch_embeddings\.projection": "features.0.0",
    r"^swin\.embeddings\.norm": "features.0.2",
    r"\.attention\.self\.": ".attn.",
    r"\.attention\.output\.dense": ".attn.proj",
    r"\.intermediate\.dense": ".mlp.0",
    r"\.output\.dense": ".mlp.3",
    r"\.layernorm_before": ".norm1",
    r"\.layernorm_after": ".norm2",
    r"^swin\.layernorm": "norm",
    r"^classifier": "head",
}
"""From microsoft/swin-large-patch4-window12-384, in the form of Hugging Face, to torchvision's names."""
STAGE = re.compile(r"^swin\.encoder\.layers\.(\d+)\.(blocks|downsample)\.")
COMPUTED = "relative_position_index"
"""Follows from the window's size; its shape differs between the two libraries."""


class SwinLarge(SwinTransformer):
    """Swin-L; the unit is the image."""

    def views(self) -> Views:
        """Evaluation as published: squeezed to the square by bicubic interpolation, nothing cropped."""
        training = swin_views(self.image_size, self.evaluation_size).training
        return Views(training, squeezed_bicubic(self.evaluation_size))

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Those of microsoft/swin-large-patch4-window12-384."""
        stages = {STAGE.sub(_stage, name): one for name, one in weights.items() if not name.endswith(COMPUTED)}
        return InitialWeights(joined_projections(renamed(stages, RULES), "qkv."), may_lack=(f"*.{COMPUTED}",))


def _stage(found: re.Match[str]) -> str:
    """Torchvision counts a stage's blocks and the merging of patches after it as two features."""
    number, part = int(found[1]), found[2]
    return f"features.{2 * number + 1}." if part == "blocks" else f"features.{2 * number + 2}."

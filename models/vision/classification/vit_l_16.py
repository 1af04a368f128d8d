"""Vision Transformer, large, as Google fine-tuned it at 224 pixels: FlagPerf inference/vit_l_16."""

from __future__ import annotations

from torch import Tensor

from models.datasets.vision.views import Views, transfer_views
from models.vision.classification.published_names import joined_projections, renamed
from models.vision.classification.vit import VisionTransformerClassifier
from models.weights import InitialWeights

RULES = {
    r"^vit\.embeddings\.cls_token": "class_token",
    r"^vit\.embeddings\.position_embeddings": "encoder.pos_embedding",
    r"^vit\.embeddings\.patch_embeddings\.projection": "conv_proj",
    r"^vit\.encoder\.layer\.(\d+)\.": r"encoder.layers.encoder_layer_\1.",
    r"\.attention\.attention\.": ".self_attention.",
    r"\.attention\.output\.dense": ".self_attention.out_proj",
    r"\.intermediate\.dense": ".mlp.0",
    r"\.output\.dense": ".mlp.3",
    r"\.layernorm_before": ".ln_1",
    r"\.layernorm_after": ".ln_2",
    r"^vit\.layernorm": "encoder.ln",
    r"^classifier": "heads.head",
}
"""From google/vit-large-patch16-224, in the form of Hugging Face, to torchvision's names."""


class VitL16(VisionTransformerClassifier):
    """ViT-L/16; the unit is the image."""

    def views(self) -> Views:
        """The checkpoint's own: squeezed to the square, values from -1 to 1."""
        return transfer_views(self.image_size, self.evaluation_size)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Those of google/vit-large-patch16-224."""
        return InitialWeights(joined_projections(renamed(weights, RULES), "in_proj_"))

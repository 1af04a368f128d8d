"""What flax.nnx calls the tensors of torch's layers."""

from __future__ import annotations

from models.ports.weights import AS_IS, KERNEL, TRANSPOSED, Dialect

NORM = {"weight": ("scale", AS_IS), "bias": ("bias", AS_IS)}
FLAX: Dialect = {
    "Conv2d": {"weight": ("kernel", KERNEL), "bias": ("bias", AS_IS)},
    "Linear": {"weight": ("kernel", TRANSPOSED), "bias": ("bias", AS_IS)},
    "Embedding": {"weight": ("embedding", AS_IS)},
    "BatchNorm2d": {**NORM, "running_mean": ("mean", AS_IS), "running_var": ("var", AS_IS)},
    "LayerNorm": NORM,
    "LlamaRMSNorm": {"weight": ("scale", AS_IS)},
    "BertLMPredictionHead": {"bias": ("bias", AS_IS)},
}

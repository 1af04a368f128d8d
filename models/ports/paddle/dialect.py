"""What paddle.nn calls the tensors of torch's layers."""

from __future__ import annotations

from models.ports.weights import AS_IS, TRANSPOSED, Dialect

NORM = {"weight": ("weight", AS_IS), "bias": ("bias", AS_IS)}
PADDLE: Dialect = {
    "Linear": {"weight": ("weight", TRANSPOSED), "bias": ("bias", AS_IS)},
    "Embedding": {"weight": ("weight", AS_IS)},
    "LayerNorm": NORM,
    "LlamaRMSNorm": {"weight": ("weight", AS_IS)},
    "BertLMPredictionHead": {"bias": ("bias", AS_IS)},
    # GPT-2's layers of this name keep (input, output), as paddle.nn.Linear does.
    "Conv1D": {"weight": ("weight", AS_IS), "bias": ("bias", AS_IS)},
}

"""wav2vec 2.0's contrast: which of several targets belongs to a hidden frame?"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)

from models.audio.recognition.quantiser import Quantised


def contrast_logits(context: Tensor, targets: Quantised, negatives: Tensor, temperature: float) -> Tensor:
    """Cosine similarity over temperature: (B, M, 1 + K) float32, that of the frame's own target first.

    A negative that was quantised to the very codes of the frame's own target cannot be told from it, and gets
    minus infinity. All pairs of an utterance are multiplied and the drawn ones picked: less to move than K vectors for
    each frame.

    Args:
        context: (B, M, D) predictions.
        targets: `vectors` (B, M, D) and `codes` (B, M) of the same frames.
        negatives: (B, M, K) int64, places among the M.
        temperature: divides the similarities.
    """
    with _full_precision(context):
        predicted, wanted = (F.normalize(one.float(), dim=2, eps=1e-8) for one in (context, targets.vectors))
        similarities = predicted @ wanted.transpose(1, 2) / temperature
    alike = (targets.codes.unsqueeze(2) == targets.codes.unsqueeze(1)).gather(2, negatives)
    others = similarities.gather(2, negatives).masked_fill(alike, -torch.inf)
    return torch.cat([similarities.diagonal(dim1=1, dim2=2).unsqueeze(2), others], dim=2)


def contrast_loss(logits: Tensor) -> Tensor:
    """Mean cross-entropy of the first of each frame's candidates."""
    return F.cross_entropy(logits.flatten(0, 1), logits.new_zeros(logits.shape[:2], dtype=torch.int64).flatten())


def told_apart(logits: Tensor) -> Tensor:
    """(B, M) whether a frame's own target is the most similar; not where it is the least similar as well.

    fairseq's count: where all candidates are alike, nothing was told.
    """
    return (logits.argmax(2) == 0) & (logits.argmin(2) != 0)


def _full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Products in float32; the meta device, which has no autocast, needs nothing."""
    device = like.device.type
    return nullcontext() if device == "meta" else torch.autocast(device, enabled=False)

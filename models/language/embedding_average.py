"""How near what a model says is to what it should say, by the sums of their tokens' embeddings."""

from __future__ import annotations

from torch import Tensor

from models.datasets.language.tokens.next_token import IGNORED

EPSILON = 1e-11
"""A sum shorter than this points nowhere."""


def embedding_averages(said: Tensor, targets: Tensor, embeddings: Tensor) -> Tensor:
    """Cosine between the sum of the embeddings of what is said and that of the targets, for each text.

    As FlagPerf's `cpm` has it: a text whose said tokens add up to nothing has 0, one whose targets do is left out. It
    goes by direction alone and the embeddings are the model's own: one constant token can be near every text.

    Args:
        said: int64 (texts, length), a token at every place.
        targets: int64 (texts, length), `IGNORED` where a place does not count.
        embeddings: (vocabulary, hidden), the model's; whatever their precision, float32 is computed in.

    Returns:
        float32 (texts that count,), from -1 to 1.
    """
    counted = targets != IGNORED

    def total(ids: Tensor) -> Tensor:
        vectors: Tensor = embeddings[ids.where(counted, 0)].float() * counted[:, :, None]
        return vectors.sum(dim=1)

    first, second = total(said), total(targets)
    lengths, wanted = first.norm(dim=-1), second.norm(dim=-1)
    cosines = (first * second).sum(dim=-1) / (lengths * wanted)
    found: Tensor = cosines.where(lengths >= EPSILON, 0)[wanted >= EPSILON]
    return found

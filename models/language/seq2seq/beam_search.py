"""Beam search over many sentences at once, by the rules of fairseq's generator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LOOK_EVERY = 16
"""Steps between two looks whether every sentence is complete; each look waits for the device."""


NextWords = Callable[[Tensor, Tensor | None], Tensor]
"""A network that goes on with rows of words: logarithms of probabilities (rows, vocabulary), float32, of the next word
of each row. It is given the last word of each row (rows,), and which row of the call before each goes on from (rows,),
None at the first call."""


def beam_search(
    next_words: NextWords,
    *,
    sentences: int,
    beam: int,
    longest: int,
    end: int,
    pad: int,
    length_penalty: float = 1.0,
    device: torch.device | None = None,
) -> Tensor:
    """The best translation found of each sentence: int64 (sentences, longest + 1), ids, `end`, then `pad`.

    Rows of `next_words` are sentence after sentence, `beam` of each. In each step the best `2 beam` continuations of a
    sentence are looked at: those among the first `beam` that end are complete, the best `beam` that do not are gone on
    with. A sentence is done when `beam` are complete, or after `longest` words, where all must end. The best has the
    highest sum of logarithms divided by its length, `end` included, to the power `length_penalty`; none is empty.
    """
    batch, ranks = torch.arange(sentences, device=device)[:, None], torch.arange(2 * beam, device=device)
    words = torch.full((sentences, beam), end, device=device)
    written = torch.full((sentences, beam, longest + 1), pad, device=device)
    scores = torch.full((sentences, beam), -torch.inf, device=device)
    scores[:, 0] = 0  # at the beginning all rows of a sentence are the same: one counts
    best = written[:, 0].clone()
    best_score = torch.full((sentences,), -torch.inf, device=device)
    complete = torch.zeros(sentences, dtype=torch.long, device=device)
    origin: Tensor | None = None
    for step in range(longest + 1):
        found = next_words(words.flatten(), origin).view(sentences, beam, -1)
        found[:, :, pad] = -torch.inf
        if step == longest:
            candidates, origins = (scores + found[:, :, end]).topk(beam)
            ids = torch.full_like(origins, end)
        else:
            candidates, places = (scores[:, :, None] + found).flatten(1).topk(2 * beam)
            origins, ids = places // found.shape[2], places % found.shape[2]
        ends = (ids == end)[:, :beam] & (step > 0)
        ends &= complete[:, None] + ends.cumsum(dim=1) <= beam
        normalised = (candidates[:, :beam] / (step + 1) ** length_penalty).masked_fill(~ends, -torch.inf)
        score, place = normalised.max(dim=1)
        ended = written[batch[:, 0], origins.gather(1, place[:, None])[:, 0]]
        ended[:, step] = end
        best = torch.where((score > best_score)[:, None], ended, best)
        best_score = torch.maximum(score, best_score)
        complete += ends.sum(dim=1)
        if step == longest or (step % LOOK_EVERY == LOOK_EVERY - 1 and bool((complete >= beam).all())):
            break
        # The first `beam` candidates that do not end: of 2 x beam at most beam do.
        going = (ranks + 2 * beam * (ids == end)).topk(beam, largest=False).indices
        scores, words, kept = (values.gather(1, going) for values in (candidates, ids, origins))
        written = written[batch, kept]
        written[:, :, step] = words
        origin = (batch * beam + kept).flatten()
    return best

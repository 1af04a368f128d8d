"""Words by frequency: embedding and softmax that share their tables, the narrower the rarer the words.

Adaptive softmax (Grave et al. 2016) and adaptive input (Baevski and Auli 2018), as Transformer-XL joins them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from models.datasets.language.tokens.next_token import IGNORED


class Cluster(NamedTuple):
    """Words `first` (inclusive) to `stop` (exclusive), each with so many numbers in its row of the table."""

    first: int
    stop: int
    width: int


def clusters_of(vocabulary: int, cutoffs: tuple[int, ...], width: int, width_divisor: int) -> list[Cluster]:
    """The vocabulary cut at `cutoffs`; each cluster's rows are `width_divisor` times narrower than the one before."""
    ends = (0, *cutoffs, vocabulary)
    return [Cluster(ends[n], ends[n + 1], width // width_divisor**n) for n in range(len(ends) - 1)]


def tail_places(targets: Tensor, clusters: list[Cluster]) -> list[Tensor]:
    """Where the targets of each cluster but the first are, as int64 places of `targets.flatten()`.

    To be made on the host with the batch: on the device, the number of places would have to be waited for.
    """
    flat = targets.flatten()
    return [((flat >= one.first) & (flat < one.stop)).nonzero().flatten() for one in clusters[1:]]


def zipf_targets(places: int, clusters: list[Cluster]) -> tuple[Tensor, list[Tensor]]:
    """Random targets (places,) of which each cluster has its share by Zipf's law, and their `tail_places`.

    The shares are fixed, so that shapes do not depend on chance; a word's probability is taken as 1 / rank.
    """
    order = torch.randperm(places)
    targets = torch.randint(clusters[0].stop, (places,))
    tails, used = [], 0
    for first, stop, _ in clusters[1:]:
        count = round(places * math.log((stop + 1) / (first + 1)) / math.log(clusters[-1].stop + 1))
        mine = order[used : used + count]
        targets[mine] = torch.randint(first, stop, (count,))
        tails.append(mine)
        used += count
    return targets, tails


class AdaptiveWords(nn.Module):
    """Embedding and loss over a large vocabulary that is sorted by frequency.

    The first softmax is over the frequent words and one entry for each cluster of rarer ones; a rare word's probability
    is its cluster's times its own within the cluster, computed only where it is asked for.
    """

    def __init__(self, clusters: list[Cluster], hidden: int) -> None:
        """Tables for `clusters`.

        Args:
            clusters: all of the vocabulary, frequent words first.
            hidden: size of the network's states; where every row is so wide nothing is projected.
        """
        super().__init__()
        self.clusters, self.hidden = clusters, hidden
        self.tables: Any = nn.ModuleList(nn.Embedding(stop - first, width) for first, stop, width in clusters)
        self.biases: Any = nn.ParameterList(torch.zeros(stop - first) for first, stop, _ in clusters)
        self.cluster_rows = nn.Parameter(torch.empty(len(clusters) - 1, clusters[0].width))
        self.cluster_bias = nn.Parameter(torch.zeros(len(clusters) - 1))
        projected = any(one.width != hidden for one in clusters)
        shapes = [(hidden, one.width) for one in clusters] if projected else []
        self.projections: Any = nn.ParameterList(torch.empty(shape) for shape in shapes)
        self.head_projection = nn.Parameter(torch.empty(shapes[0])) if projected else None
        """The first cluster's on the way out; the other clusters have one projection for both ways."""

    def embed(self, ids: Tensor) -> Tensor:
        """States of words, int64 (...) to (..., hidden).

        Every cluster looks every id up, in an arbitrary row where it is not its own: no shape depends on the ids.
        """
        parts = []
        for number, (first, stop, _) in enumerate(self.clusters):
            rows = self.tables[number]((ids - first).remainder(stop - first))
            rows = rows * ((ids >= first) & (ids < stop)).unsqueeze(-1)
            parts.append(linear(rows, self.projections[number]) if len(self.projections) else rows)
        return torch.stack(parts).sum(dim=0) * math.sqrt(self.hidden)

    def losses(self, states: Tensor, targets: Tensor, tails: list[Tensor]) -> Tensor:
        """Cross entropy of each target, float32 (places,); 0 where the target is `IGNORED`.

        Args:
            states: (places, hidden).
            targets: int64 (places,).
            tails: `tail_places` of the targets.
        """
        rows = torch.cat([self.tables[0].weight, self.cluster_rows])
        scores = linear(_project(states, self.head_projection), rows, torch.cat([self.biases[0], self.cluster_bias]))
        entries = targets
        for number, (first, stop, _) in enumerate(self.clusters[1:]):
            entries = torch.where((targets >= first) & (targets < stop), self.clusters[0].stop + number, entries)
        losses = cross_entropy(scores.float(), entries, ignore_index=IGNORED, reduction="none")
        for number, places in enumerate(tails, start=1):
            projection = self.projections[number] if len(self.projections) else None
            mine = _project(states.index_select(0, places), projection)
            scores = linear(mine, self.tables[number].weight, self.biases[number])
            wanted = targets.index_select(0, places) - self.clusters[number].first
            losses = losses.index_add(0, places, cross_entropy(scores.float(), wanted, reduction="none"))
        return losses


def _project(states: Tensor, projection: Tensor | None) -> Tensor:
    return states if projection is None else states @ projection

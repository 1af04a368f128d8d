"""DETR's transformer: positions are added to queries and keys in every layer, norms come after the residuals.

torch.nn.Transformer knows neither; the names of the parameters are the same. Source: facebookresearch/detr,
models/transformer.py, with its defaults (ReLU, `pre_norm` off).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


class DetrTransformer(nn.Module):
    """Encoder over the places of a feature map, decoder over the object queries."""

    def __init__(
        self, *, hidden: int, heads: int, encoder_layers: int, decoder_layers: int, intermediate: int, dropout: float
    ) -> None:
        super().__init__()
        sizes = {"hidden": hidden, "heads": heads, "intermediate": intermediate, "dropout": dropout}
        encoding = nn.ModuleList(DetrEncoderLayer(**sizes) for _ in range(encoder_layers))  # type: ignore[arg-type]
        decoding = nn.ModuleList(DetrDecoderLayer(**sizes) for _ in range(decoder_layers))  # type: ignore[arg-type]
        self.encoder = nn.ModuleDict({"layers": encoding})
        self.decoder = nn.ModuleDict({"layers": decoding, "norm": nn.LayerNorm(hidden)})
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, features: Tensor, padding: Tensor, positions: Tensor, queries: Tensor) -> Tensor:
        """The queries' states after each layer of the decoder.

        Args:
            features: [images, hidden, H, W].
            padding: where the feature map is padding, bool [images, H, W]; no query or place looks there.
            positions: of the places, like `features`.
            queries: learnt positions of the queries [queries, hidden].

        Returns:
            [layers, images, queries, hidden].
        """
        memory, places = (one.flatten(2).transpose(1, 2) for one in (features, positions))
        unseen = padding.flatten(1)
        for layer in self.get_submodule("encoder.layers").children():
            memory = layer(memory, unseen, places)
        asked = queries.expand(len(features), -1, -1)
        state = torch.zeros_like(asked)
        states = []
        for layer in self.get_submodule("decoder.layers").children():
            state = layer(state, asked, memory, unseen, places)
            states.append(self.decoder["norm"](state))
        return torch.stack(states)


class DetrEncoderLayer(nn.Module):
    """Places look at each other, then each is transformed by itself."""

    def __init__(self, *, hidden: int, heads: int, intermediate: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(hidden, heads, dropout=dropout, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(hidden, intermediate), nn.Linear(intermediate, hidden)
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, memory: Tensor, unseen: Tensor, places: Tensor) -> Tensor:
        """`memory` and `places` [images, places, hidden], `unseen` bool [images, places]."""
        looking = memory + places
        seen, _ = self.self_attn(looking, looking, memory, key_padding_mask=unseen, need_weights=False)
        memory = self.norm1(memory + self.dropout(seen))
        made = self.linear2(self.dropout(relu(self.linear1(memory))))
        normed: Tensor = self.norm2(memory + self.dropout(made))
        return normed


class DetrDecoderLayer(nn.Module):
    """Queries look at each other, then at the image, then each is transformed by itself."""

    def __init__(self, *, hidden: int, heads: int, intermediate: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(hidden, heads, dropout=dropout, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(hidden, heads, dropout=dropout, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(hidden, intermediate), nn.Linear(intermediate, hidden)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(hidden), nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: Tensor, asked: Tensor, memory: Tensor, unseen: Tensor, places: Tensor) -> Tensor:
        """`state` and `asked` [images, queries, hidden]; the others as in the encoder."""
        looking = state + asked
        heard, _ = self.self_attn(looking, looking, state, need_weights=False)
        state = self.norm1(state + self.dropout(heard))
        seen, _ = self.multihead_attn(
            state + asked, memory + places, memory, key_padding_mask=unseen, need_weights=False
        )
        state = self.norm2(state + self.dropout(seen))
        made = self.linear2(self.dropout(relu(self.linear1(state))))
        normed: Tensor = self.norm3(state + self.dropout(made))
        return normed

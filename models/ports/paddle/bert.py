"""BERT's pre-training in Paddle: transformers' encoder with its two heads, its layers under transformers' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.nn import functional

from models.ports.paddle.attention import attention
from models.ports.paddle.dialect import PADDLE
from models.ports.paddle.port import IGNORED, PaddlePort, token_loss, told
from models.ports.port import Arrays
from models.ports.weights import WeightPlace, mirrored

EPSILON = 1e-12
"""Of layer norms; with the kinds of segments, what transformers' `BertConfig` has where sizes do not say otherwise."""
SEGMENTS = 2
PADDING = 0
"""The word whose embedding learns nothing from where it stands, as in transformers'; the head still moves it."""


def _norm(sizes: Any) -> nn.LayerNorm:
    return nn.LayerNorm(sizes.hidden, epsilon=EPSILON)


class BertEmbeddingsPaddle(nn.Layer):
    """Words, positions and segments, added."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(sizes.vocabulary, sizes.hidden)
        self.position_embeddings = nn.Embedding(sizes.sequence_length, sizes.hidden)
        self.token_type_embeddings = nn.Embedding(SEGMENTS, sizes.hidden)
        self.LayerNorm = _norm(sizes)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, input_ids: Tensor, segment_ids: Tensor) -> Tensor:
        """(batch, length) to (batch, length, hidden)."""
        weight = self.word_embeddings.weight
        words = functional.embedding(input_ids, weight, padding_idx=PADDING)  # zeros at the padding
        padding = (input_ids == PADDING).astype(weight.dtype).unsqueeze(-1) * weight[PADDING].detach()
        places = self.position_embeddings.weight[: input_ids.shape[1]]
        return self.dropout(self.LayerNorm(words + padding + self.token_type_embeddings(segment_ids) + places))


class BertSelfAttentionPaddle(nn.Layer):
    """Every place sees every place that is no padding."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self._head, self._dropout = sizes.hidden // sizes.heads, sizes.dropout
        self.query = nn.Linear(sizes.hidden, sizes.hidden)
        self.key = nn.Linear(sizes.hidden, sizes.hidden)
        self.value = nn.Linear(sizes.hidden, sizes.hidden)

    def forward(self, values: Tensor, seen: Tensor) -> Tensor:
        """(batch, length, hidden) to the same."""
        query, key, value = (
            one.reshape([*one.shape[:2], -1, self._head])
            for one in (self.query(values), self.key(values), self.value(values))
        )
        mixed = attention(query, key, value, seen=seen, dropout=self._dropout, training=self.training)
        return mixed.flatten(2)


class BertOntoResidualPaddle(nn.Layer):
    """A linear layer, dropout, and the norm of the sum with what it is added to."""

    def __init__(self, inputs: int, sizes: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, sizes.hidden)
        self.LayerNorm = _norm(sizes)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, values: Tensor, residual: Tensor) -> Tensor:
        """Shape of the residual."""
        return self.LayerNorm(self.dropout(self.dense(values)) + residual)


class BertAttentionPaddle(nn.Layer):
    """Attention onto the residual stream."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.self = BertSelfAttentionPaddle(sizes)
        self.output = BertOntoResidualPaddle(sizes.hidden, sizes)

    def forward(self, values: Tensor, seen: Tensor) -> Tensor:
        """(batch, length, hidden) to the same."""
        return self.output(self.self(values, seen), values)


class BertActivatedPaddle(nn.Layer):
    """A linear layer and GELU, exact."""

    def __init__(self, sizes: Any, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(sizes.hidden, outputs)

    def forward(self, values: Tensor) -> Tensor:
        """(..., hidden) to (..., outputs)."""
        return functional.gelu(self.dense(values))


class BertLayerPaddle(nn.Layer):
    """Attention and feed-forward layers."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.attention = BertAttentionPaddle(sizes)
        self.intermediate = BertActivatedPaddle(sizes, sizes.intermediate)
        self.output = BertOntoResidualPaddle(sizes.intermediate, sizes)

    def forward(self, values: Tensor, seen: Tensor) -> Tensor:
        """(batch, length, hidden) to the same."""
        values = self.attention(values, seen)
        return self.output(self.intermediate(values), values)


class BertPoolerPaddle(nn.Layer):
    """The first place's hidden state, for what is asked of the whole sequence."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(sizes.hidden, sizes.hidden)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, length, hidden) to (batch, hidden)."""
        return paddle.tanh(self.dense(values[:, 0]))


class BertStackPaddle(nn.Layer):
    """Embeddings, encoder and pooler."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.embeddings = BertEmbeddingsPaddle(sizes)
        self.encoder = nn.Layer()
        self.encoder.layer = nn.LayerList([BertLayerPaddle(sizes) for _ in range(sizes.layers)])
        self.pooler = BertPoolerPaddle(sizes)

    def forward(self, input_ids: Tensor, segment_ids: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states (batch, length, hidden) and the pooled one (batch, hidden)."""
        values = self.embeddings(input_ids, segment_ids)
        for layer in self.encoder.layer:
            values = layer(values, seen)
        return values, self.pooler(values)


class BertWordsPaddle(nn.Layer):
    """Scores of words; their weights are the word embeddings."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.transform = BertActivatedPaddle(sizes, sizes.hidden)
        self.transform.LayerNorm = _norm(sizes)
        self.bias = self.create_parameter([sizes.vocabulary], is_bias=True)

    def forward(self, values: Tensor, embedding: Tensor) -> Tensor:
        """(..., hidden) to (..., vocabulary)."""
        values = self.transform.LayerNorm(self.transform(values))
        return paddle.matmul(values, embedding, transpose_y=True) + self.bias


class BertHeadsPaddle(nn.Layer):
    """Words at the masked places, and whether the second segment follows the first."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.predictions = BertWordsPaddle(sizes)
        self.seq_relationship = nn.Linear(sizes.hidden, 2)


class BertForPretrainingPaddle(nn.Layer):
    """Transformers' `BertForPreTraining`."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.bert = BertStackPaddle(sizes)
        self.cls = BertHeadsPaddle(sizes)


class BertNetworkPaddle(nn.Layer):
    """The encoder with its heads; words are predicted at the masked places alone."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.bert = BertForPretrainingPaddle(sizes)

    def forward(
        self, input_ids: Tensor, segment_ids: Tensor, attended: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores of words at `positions` (batch, predictions, vocabulary) and of the next sentence (batch, 2)."""
        encoder, heads = self.bert.bert, self.bert.cls
        hidden, pooled = encoder(input_ids, segment_ids, attended.unsqueeze([1, 2]))
        masked = paddle.take_along_axis(hidden, positions.unsqueeze(-1), axis=1)
        words = heads.predictions(masked, encoder.embeddings.word_embeddings.weight)
        return words, heads.seq_relationship(pooled)


class BertPaddle(PaddlePort):
    """`models.language.encoders.bert.BertPretraining` in Paddle."""

    def build(self) -> BertNetworkPaddle:
        """The network."""
        return BertNetworkPaddle(self.original.sizes)

    def places(self) -> Mapping[str, WeightPlace]:
        """Layer by layer; the words' scores have their weights from the embedding."""
        return mirrored(self.original.network, PADDLE)

    def loss(self, network: Any, batch: Arrays) -> Tensor:
        """Mean cross entropy over the masked words, plus that of the next sentence."""
        words, following = told(network, training=True)(*self._inputs(batch))
        next_sentence = functional.cross_entropy(following.astype("float32"), batch["is_random_next"])
        return token_loss(words, _word_targets(batch)) + next_sentence

    def judge(self, network: Any, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """Which masked words got the highest score."""
        words, _ = told(network, training=False)(*self._inputs(batch))
        targets = _word_targets(batch)
        return {"mlm_accuracy": (words.argmax(axis=-1) == targets, targets != IGNORED)}

    def _inputs(self, batch: Arrays) -> tuple[Tensor, ...]:
        return tuple(batch[name] for name in ("input_ids", "segment_ids", "attended", "positions"))


def _word_targets(batch: Arrays) -> Tensor:
    """The masked words (batch, predictions); place 0 is `[CLS]` and marks a prediction that does not count."""
    return paddle.where(batch["positions"] > 0, batch["word_ids"], paddle.full_like(batch["word_ids"], IGNORED))

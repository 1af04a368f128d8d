"""BERT in JAX: transformers' encoder with its two heads, its layers under transformers' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jax import numpy as jnp

from models.datasets.language.tokens.next_token import IGNORED
from models.language.encoders.bert import BertArchitecture
from models.ports.jax.dialect import FLAX
from models.ports.jax.encoder import BertLayerJax, dense, layer_norm
from models.ports.jax.port import JaxPort
from models.ports.jax.tokens import mean_loss
from models.ports.port import Arrays
from models.ports.weights import WeightPlace, mirrored

Types = dict[str, Any]
RENAMED = (
    (r"^bert\.(bert\.)?", ""),
    (r"^cls\.predictions\.transform", "transform"),
    (r"^cls\.predictions", "words"),
    (r"^cls\.", ""),
    (r"attention\.self\.", "attention."),
    (r"attention\.output\.", "attention."),
)
"""Transformers' names of layers, and this network's."""


class BertEmbeddingsJax(nnx.Module):
    """Words, positions and segments, added up and normalised."""

    def __init__(self, sizes: BertArchitecture, types: Types, rngs: Any) -> None:
        given = {"rngs": rngs, **types}
        self.word_embeddings = nnx.Embed(sizes.vocabulary, sizes.hidden, **given)
        self.position_embeddings = nnx.Embed(sizes.sequence_length, sizes.hidden, **given)
        self.token_type_embeddings = nnx.Embed(2, sizes.hidden, **given)
        self.LayerNorm = layer_norm(sizes.hidden, types, rngs)
        self.dropout = nnx.Dropout(sizes.dropout)

    def __call__(self, ids: jax.Array, segments: jax.Array, rngs: Any) -> jax.Array:
        """(batch, length) to (batch, length, hidden)."""
        places = self.position_embeddings(jnp.arange(ids.shape[1]))
        summed = self.word_embeddings(ids) + self.token_type_embeddings(segments) + places
        return self.dropout(self.LayerNorm(summed), rngs=rngs)


class BertEncoderJax(nnx.Module):
    """The layers, one after the other."""

    def __init__(self, sizes: BertArchitecture, types: Types, rngs: Any) -> None:
        self.layer = nnx.List([BertLayerJax(sizes, types, rngs) for _ in range(sizes.layers)])

    def __call__(self, hidden: jax.Array, attended: jax.Array, rngs: Any) -> jax.Array:
        """(batch, length, hidden) to the same shape; `attended` is bool (batch, length)."""
        for layer in self.layer:
            hidden = layer(hidden, attended, rngs)
        return hidden


class BertPoolerJax(nnx.Module):
    """The first place of a sequence, for what is asked of the whole."""

    def __init__(self, sizes: BertArchitecture, types: Types, rngs: Any) -> None:
        self.dense = dense(sizes.hidden, sizes.hidden, types, rngs)

    def __call__(self, hidden: jax.Array) -> jax.Array:
        """(batch, length, hidden) to (batch, hidden)."""
        return jnp.tanh(self.dense(hidden[:, 0]))


class BertTransformJax(nnx.Module):
    """What stands before the scores of words."""

    def __init__(self, sizes: BertArchitecture, types: Types, rngs: Any) -> None:
        self.dense = dense(sizes.hidden, sizes.hidden, types, rngs)
        self.LayerNorm = layer_norm(sizes.hidden, types, rngs)

    def __call__(self, hidden: jax.Array) -> jax.Array:
        """(…, hidden) to the same shape."""
        return self.LayerNorm(jax.nn.gelu(self.dense(hidden), approximate=False))


class BertWordsJax(nnx.Module):
    """Scores of words: products with the words' own embeddings, and a bias."""

    def __init__(self, sizes: BertArchitecture, types: Types) -> None:
        self.bias = nnx.Param(jnp.zeros(sizes.vocabulary, types["param_dtype"]))
        self.dtype = types["dtype"]

    def __call__(self, hidden: jax.Array, embeddings: nnx.Embed) -> jax.Array:
        """(…, hidden) to (…, vocabulary)."""
        return embeddings.attend(hidden) + self.bias[...].astype(self.dtype)


class BertNetworkJax(nnx.Module):
    """The encoder with both heads; words are predicted at the masked places alone."""

    def __init__(self, sizes: BertArchitecture, types: Types, rngs: Any) -> None:
        self.embeddings = BertEmbeddingsJax(sizes, types, rngs)
        self.encoder = BertEncoderJax(sizes, types, rngs)
        self.pooler = BertPoolerJax(sizes, types, rngs)
        self.transform = BertTransformJax(sizes, types, rngs)
        self.words = BertWordsJax(sizes, types)
        self.seq_relationship = dense(sizes.hidden, 2, types, rngs)

    def __call__(self, batch: Arrays, rngs: Any) -> tuple[jax.Array, jax.Array]:
        """Scores of words at the masked places (batch, predictions, words), and of the next sentence (batch, 2)."""
        hidden = self.embeddings(batch["input_ids"], batch["segment_ids"], rngs)
        hidden = self.encoder(hidden, batch["attended"], rngs)
        masked = jnp.take_along_axis(hidden, batch["positions"][:, :, None], axis=1)
        words = self.words(self.transform(masked), self.embeddings.word_embeddings)
        return words, self.seq_relationship(self.pooler(hidden))


class BertJax(JaxPort):
    """`models.language.encoders.bert.BertPretraining` in flax.nnx."""

    def build(self, rngs: Any) -> Any:
        """The network."""
        original: Any = self.original
        return BertNetworkJax(original.sizes, self.types, rngs)

    def places(self) -> Mapping[str, WeightPlace]:
        """Layer by layer; the scores' matrix is the embedding, and stands under its name."""
        return mirrored(self.original.network, FLAX, renamed=RENAMED)

    def loss(self, network: Any, batch: Arrays, rngs: Any = None) -> jax.Array:
        """Mean cross entropy over the masked words, plus that of the next sentence."""
        network.train()
        words, following = network(batch, rngs)
        return mean_loss(words, _word_targets(batch)) + mean_loss(following, batch["is_random_next"])

    def judge(self, network: Any, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """Which masked words got the highest score, and which of them count."""
        network.eval()
        words, _ = network(batch, None)
        targets = _word_targets(batch)
        return {"mlm_accuracy": (words.argmax(axis=-1) == targets, targets != IGNORED)}


def _word_targets(batch: Arrays) -> jax.Array:
    """The masked words (batch, predictions); place 0 is `[CLS]` and marks a prediction that does not count."""
    return jnp.where(batch["positions"] > 0, batch["word_ids"], IGNORED)

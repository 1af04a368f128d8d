"""The network against torch's own layers with the same weights, and its two ways to the same scores."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.language.seq2seq.transformer_network import TransformerNetwork, TransformerSizes, sinusoids

PAD, END = 1, 2
SIZES = TransformerSizes(
    vocabulary=23,
    hidden=16,
    intermediate=40,
    heads=4,
    layers=2,
    positions=12,
    dropout=0.3,
    attention_dropout=0.2,
    activation_dropout=0.1,
)
SOURCE = torch.tensor([[5, 6, 7, 8, END], [9, 10, END, PAD, PAD], [4, END, PAD, PAD, PAD]])
PREVIOUS = torch.tensor([[END, 7, 8, 9], [END, 11, PAD, PAD], [END, 3, 4, PAD]])


@pytest.fixture
def network() -> TransformerNetwork:
    torch.manual_seed(0)
    made = TransformerNetwork(SIZES)
    for parameter in made.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, std=0.5)  # no bias or norm that could be left out unseen
    return made.eval()


def attention_weights(theirs: nn.MultiheadAttention, ours: Any) -> None:
    theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
    theirs.in_proj_bias.zero_()
    theirs.out_proj.weight.copy_(ours.output.weight)
    theirs.out_proj.bias.zero_()


def others_weights(theirs: Any, ours: Any, norms: list[Any]) -> None:
    theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward[3].state_dict())
    for number, norm in enumerate(norms, start=1):
        getattr(theirs, f"norm{number}").load_state_dict(norm.state_dict())


def embedded(network: TransformerNetwork, words: Tensor) -> Tensor:
    """By the paper's formula in tensor2tensor's order, word by word."""
    half = SIZES.hidden // 2
    rows = []
    for row in words.tolist():
        place = PAD
        vectors = []
        for word in row:
            place += word != PAD
            rates = [10000 ** (-number / (half - 1)) for number in range(half)]
            angles = [place * rate for rate in rates]
            wave = torch.tensor([math.sin(one) for one in angles] + [math.cos(one) for one in angles])
            vectors.append(network.embedding.weight[word] * SIZES.hidden**0.5 + (0 if word == PAD else wave))
        rows.append(torch.stack(vectors))
    return torch.stack(rows)


@torch.no_grad()
def torch_scores(network: TransformerNetwork, source: Tensor, previous: Tensor) -> Tensor:
    """The same weights in torch's pre-normalised layers."""
    options: dict[str, Any] = {"dim_feedforward": SIZES.intermediate, "batch_first": True, "norm_first": True}
    x, padded = embedded(network, source), source == PAD
    for ours in network.encoder:
        layer = nn.TransformerEncoderLayer(SIZES.hidden, SIZES.heads, **options).eval()
        attention_weights(layer.self_attn, ours.attention)
        others_weights(layer, ours, [ours.attention_norm, ours.feed_forward_norm])
        x = layer(x, src_key_padding_mask=padded)
    memory, x = network.encoder_norm(x), embedded(network, previous)
    causal = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    for ours in network.decoder:
        decoder = nn.TransformerDecoderLayer(SIZES.hidden, SIZES.heads, **options).eval()
        attention_weights(decoder.self_attn, ours.attention)
        attention_weights(decoder.multihead_attn, ours.source_attention)
        others_weights(decoder, ours, [ours.attention_norm, ours.source_attention_norm, ours.feed_forward_norm])
        x = decoder(x, memory, tgt_mask=causal, memory_key_padding_mask=padded)
    return network.decoder_norm(x) @ network.embedding.weight.T


def test_scores_are_those_of_torchs_layers(network: TransformerNetwork) -> None:
    with torch.no_grad():
        scores = network(SOURCE, PREVIOUS)
    real = PREVIOUS != PAD
    torch.testing.assert_close(scores[real], torch_scores(network, SOURCE, PREVIOUS)[real], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_padding_of_the_source_changes_nothing_on_either_side(network: TransformerNetwork) -> None:
    """fairseq pads sources on the left; places are counted without padding, so that the side is no matter."""
    left = torch.stack([torch.cat([row[row == PAD], row[row != PAD]]) for row in SOURCE])
    wider = torch.cat([SOURCE, torch.full((3, 3), PAD)], dim=1)
    for source in (left, wider):
        torch.testing.assert_close(network(source, PREVIOUS), network(SOURCE, PREVIOUS), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_word_by_word_the_scores_are_those_of_the_whole(network: TransformerNetwork) -> None:
    previous = torch.tensor([[END, 7, 8, 9], [END, 11, 5, 6], [END, 3, 4, 4]])
    whole = network(SOURCE, previous)
    encoded, mask = network.encode(SOURCE)
    sources = network.look_at_source(encoded)
    past: list[Any] = []
    for place in range(4):
        scores, past = network.next_word(previous[:, place], place, sources, mask, past)
        torch.testing.assert_close(scores, whole[:, place], rtol=1e-4, atol=1e-5)
        assert past[0].keys.shape == (3, SIZES.heads, place + 1, 4)


def test_a_place_does_not_see_what_comes_after_it(network: TransformerNetwork) -> None:
    other = PREVIOUS.clone()
    other[:, 3] = 12
    with torch.no_grad():
        torch.testing.assert_close(network(SOURCE, PREVIOUS)[:, :3], network(SOURCE, other)[:, :3])


def test_weights_begin_as_fairseqs() -> None:
    torch.manual_seed(0)
    network = TransformerNetwork(replace(SIZES, vocabulary=4000, hidden=64))
    assert not network.embedding.weight[PAD].any()
    assert network.embedding.weight.std().item() == pytest.approx(64**-0.5, rel=0.01)
    limit = math.sqrt(6 / (64 + 64))
    query = network.encoder[0].attention.query.weight
    assert limit * 0.95 < query.abs().max().item() <= limit
    assert not network.decoder[1].feed_forward[0].bias.any()
    assert [name for name in network.state_dict() if "places" in name] == [], "places are no weights"


def test_dropout_acts_in_training_alone(network: TransformerNetwork) -> None:
    network.train()
    torch.manual_seed(0)
    one = network(SOURCE, PREVIOUS)
    assert not torch.equal(one, network(SOURCE, PREVIOUS))
    network.eval()
    assert torch.equal(network(SOURCE, PREVIOUS), network(SOURCE, PREVIOUS))


def test_places_are_all_sines_then_all_cosines() -> None:
    table = sinusoids(40, 6)
    assert not table[PAD].any()
    for place, rate in ((2, 1.0), (17, 0.01), (39, 0.0001)):
        column = {1.0: 0, 0.01: 1, 0.0001: 2}[rate]
        assert float(table[place, column]) == pytest.approx(math.sin(place * rate), abs=1e-5)
        assert float(table[place, column + 3]) == pytest.approx(math.cos(place * rate), abs=1e-5)

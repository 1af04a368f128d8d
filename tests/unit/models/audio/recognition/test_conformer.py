"""Conformer's encoder: its parts against plain formulas, and padding that nothing sees."""

from __future__ import annotations

import math

import pytest
import torch
from language_samples import recipe
from served_language import answered, first_batch, inferable
from zoo import model_class

from models.audio.recognition.conformer_network import Convolution, SelfAttention, sinusoids


def test_places_are_sines_and_cosines() -> None:
    table = sinusoids(5, 6)
    for place in range(5):
        for pair in range(3):
            angle = place / 10_000 ** (2 * pair / 6)
            assert table[place, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[place, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = SelfAttention(8, 2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.project.weight,
            "in_proj_bias": ours.project.bias,
            "out_proj.weight": ours.output.weight,
            "out_proj.bias": ours.output.bias,
        }
    )
    hidden, seen = torch.randn(2, 5, 8), torch.arange(5) < torch.tensor([[5], [3]])
    normal = ours.normalise(hidden)
    expected, _ = theirs(normal, normal, normal, key_padding_mask=~seen, need_weights=False)
    torch.testing.assert_close(ours(hidden, seen), expected)


def test_a_convolution_mixes_a_channel_with_its_neighbours() -> None:
    torch.manual_seed(0)
    part = Convolution(4, 3).eval()
    hidden = torch.randn(1, 6, 4)
    seen = torch.tensor([[True] * 5 + [False]])
    gated = part.gate(part.normalise(hidden).transpose(1, 2))[0]
    gated[:, 5] = 0
    weight, bias = part.depthwise.weight[:, 0], part.depthwise.bias
    wide = torch.nn.functional.pad(gated, (1, 1))
    mixed = torch.stack([(wide[:, place : place + 3] * weight).sum(dim=1) + bias for place in range(6)], dim=1)
    torch.testing.assert_close(part(hidden, seen)[0], part.pointwise(mixed[None])[0].T)


def test_what_is_padding_is_not_seen_by_the_rest() -> None:
    """Other values beyond the end; of the two convolutions that fold the input, the last place sees one step on."""
    model, batch = inferable("conformer"), first_batch("conformer")
    (memory,) = answered("conformer", batch)
    other = {"src": batch["src"].clone(), "src_pad_mask": batch["src_pad_mask"]}
    places = (~batch["src_pad_mask"]).sum(dim=1)
    assert places.min() < memory.shape[1]
    for row, count in enumerate(places.tolist()):
        other["src"][row, ..., 4 * count + 4 :] = 5.0
    (changed,) = answered("conformer", other)
    for row, count in enumerate(places.tolist()):
        torch.testing.assert_close(changed[row, :count], memory[row, :count])
    assert memory.shape == (4, model.recipe.architecture["length"] // 4, model.recipe.architecture["width"])


@pytest.mark.parametrize(("field", "value"), [("kernel", 8), ("height", 18), ("length", 66)])
def test_sizes_that_do_not_fit_are_refused(field: str, value: int) -> None:
    wrong = recipe("conformer")
    wrong.architecture[field] = value
    with pytest.raises(ValueError, match="must be multiples of 4, kernel odd"):
        model_class("conformer")(wrong)

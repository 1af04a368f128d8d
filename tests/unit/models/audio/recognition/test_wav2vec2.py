from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from language_samples import evaluate, recipe, sample_spec
from torch import Tensor, nn
from torch.nn import functional as F
from zoo import built

from models.audio.recognition.contrast import contrast_logits, contrast_loss, told_apart
from models.audio.recognition.quantiser import Quantised, Quantiser
from models.audio.recognition.wav2vec2 import Wav2Vec2Trainable
from models.datasets.audio.librispeech import SpokenUtterance
from models.schedules import rate_factor


def trainable(passes: int = 1, **architecture: Any) -> Wav2Vec2Trainable:
    torch.manual_seed(2)
    case = recipe("wav2vec2")
    case.architecture |= architecture
    case.training.gradient_accumulation_steps = passes
    return Wav2Vec2Trainable(case)


def utterances(*lengths: int, whole: bool = False) -> list[SpokenUtterance]:
    random = torch.Generator().manual_seed(5)
    return [
        SpokenUtterance(torch.randn(samples, generator=random) * 0.1, seed, whole)
        for seed, samples in enumerate(lengths)
    ]


# --- the published case ---


def test_reference_is_the_published_case() -> None:
    case = recipe("wav2vec2", "reference")
    train, sizes = case.training, case.architecture
    assert (train.quality.targets, train.quality.mode) == ({"accuracy": 0.605}, "max")
    assert (train.optimizer.name, train.optimizer.lr, train.optimizer.weight_decay) == ("adamw", 5e-4, 0.01)
    assert (train.optimizer.betas, train.optimizer.eps, train.max_grad_norm) == ((0.9, 0.98), 1e-6, 25)
    assert train.batching.max_size == 4 * 1_400_000 and train.gradient_accumulation_steps == 2
    assert train.max_train_samples == 400_000 * 8 * 2 * train.batch_size
    rates = [rate_factor(train.schedule, step) for step in (0, 15_999, 31_999, 216_000, 400_000)]
    assert rates == pytest.approx([1 / 32_000, 0.5, 1, 0.5, 0])
    assert (sizes["temperature"], sizes["negatives"], sizes["mask_length"]) == ([2.0, 0.5, 0.999995], 100, 10)
    assert (sizes["depths"], sizes["shortening"], sizes["loss_weights"]) == ([2, 8, 2], 4, [0.1, 10.0])


def test_as_many_parameters_as_transformers_counts() -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

    with torch.device("meta"):
        ours = Wav2Vec2Trainable(recipe("wav2vec2", "reference")).network
        theirs = Wav2Vec2ForPreTraining(Wav2Vec2Config())
    counts = [sum(one.numel() for one in network.parameters()) for network in (ours, theirs)]
    assert counts == [95_044_608] * 2


def test_a_batch_counts_its_hidden_frames() -> None:
    model = trainable()
    for batch in (model.synthetic_batch(2), model.collate(utterances(6000, 7000))):
        assert model.count(batch).samples == batch["masked"].numel() == batch["hidden_frames"]
    whole = model.collate(utterances(6000, 7000, whole=True))
    assert model.count(whole).samples == sum(one["masked"].numel() for one in whole["utterances"])


# --- the network, against the library's ---


def test_without_the_hourglass_it_is_transformers_wav2vec2() -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

    model = trainable(depths=[2, 0, 0], dropout=0.0).eval()
    config, ours = model.config, model.network
    theirs = Wav2Vec2ForPreTraining(
        Wav2Vec2Config(
            hidden_size=config.hidden, num_hidden_layers=2, num_attention_heads=config.heads,
            intermediate_size=config.feed_forward, conv_dim=[one[0] for one in config.convolutions],
            conv_kernel=[one[1] for one in config.convolutions], conv_stride=[one[2] for one in config.convolutions],
            num_feat_extract_layers=len(config.convolutions), num_conv_pos_embeddings=config.position_kernel,
            num_conv_pos_embedding_groups=config.position_groups, num_codevectors_per_group=config.codes,
            codevector_dim=config.final, proj_codevector_dim=config.final, mask_time_prob=0.5,
        )
    ).eval()  # fmt: skip
    theirs.load_state_dict(_renamed(ours.state_dict(), config), strict=True)
    batch = model.collate(utterances(6000, 7000))
    frames = theirs._get_feat_extract_output_lengths(6000)
    hidden = torch.zeros(2, int(frames), dtype=torch.bool).scatter(1, batch["masked"], True)
    with torch.no_grad():
        expected = theirs(batch["audio"], mask_time_indices=hidden)
        prediction = ours(batch["audio"], batch["masked"], [True, True])
    for mine, known in (
        (prediction.context, expected.projected_states),
        (prediction.targets.vectors, expected.projected_quantized_states),
    ):
        assert torch.allclose(mine.flatten(0, 1), known[hidden], atol=2e-5)


def _renamed(state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    """Our tensors under transformers' names."""
    named: dict[str, Tensor] = {}
    base = "wav2vec2."
    convolutions = sorted({int(name.split(".")[1]) for name in state if name.startswith("frames.")})
    place = {at: number for number, at in enumerate(at for at in convolutions if at != 1)}  # 1 is the group norm
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        if part == "frames":
            at, kind = rest.split(".")
            layer = f"{base}feature_extractor.conv_layers."
            named[f"{layer}0.layer_norm.{kind}" if at == "1" else f"{layer}{place[int(at)]}.conv.{kind}"] = tensor
        elif name.startswith("encoder.layers."):
            _, _, number, module, *tail = name.split(".")
            layer, end = f"{base}encoder.layers.{number}.", tail[-1]
            if module == "projections":
                for piece, which in zip(tensor.chunk(3), "qkv", strict=True):
                    named[f"{layer}attention.{which}_proj.{end}"] = piece
                continue
            other = {
                "output": "attention.out_proj", "attention_norm": "layer_norm", "output_norm": "final_layer_norm",
                "feed_forward": "feed_forward.intermediate_dense" if tail[0] == "0" else "feed_forward.output_dense",
            }[module]  # fmt: skip
            named[f"{layer}{other}.{end}"] = tensor
        elif name == "quantiser.entries":
            named["quantizer.codevectors"] = tensor.flatten(0, 1).unsqueeze(0)
        elif name != "quantiser.passes":
            for mine, known in (
                ("encoder.positions.", f"{base}encoder.pos_conv_embed.conv."),
                ("encoder.norm", f"{base}encoder.layer_norm"),
                ("norm", f"{base}feature_projection.layer_norm"),
                ("projection", f"{base}feature_projection.projection"),
                ("hidden_frame", f"{base}masked_spec_embed"),
                ("quantiser.scores", "quantizer.weight_proj"),
                ("target_projection", "project_q"),
                ("context_projection", "project_hid"),
            ):
                if name.startswith(mine):
                    named[known + name.removeprefix(mine)] = tensor
                    break
    return named


def test_the_hourglass_averages_and_repeats() -> None:
    encoder: Any = trainable(depths=[1, 2, 1], shortening=4).eval().network.encoder
    frames = torch.randn(2, 10, 64)
    x = F.gelu(encoder.positions(frames.transpose(1, 2))[:, :, :10]).transpose(1, 2) + frames
    x = encoder.layers[0](encoder.norm(x))
    padded = torch.cat([x, torch.zeros(2, 2, 64)], 1)
    short = F.avg_pool1d(padded.transpose(1, 2), 4, 4).transpose(1, 2)
    assert short.shape[1] == 3
    long = encoder.layers[2](encoder.layers[1](short)).repeat_interleave(4, 1)[:, :10]
    expected = encoder.layers[3](x + long)
    assert torch.allclose(encoder(frames, [True] * 4), expected, atol=1e-5)


def test_layers_that_are_left_out_change_nothing_and_still_have_gradients() -> None:
    network: Any = trainable(depths=[2, 0, 0]).network
    frames = torch.randn(2, 10, 64)
    network.encoder.layers[1].output.weight.data.fill_(9.0)
    one = network.encoder(frames, [True, False])
    network.encoder.layers[1].output.weight.data.fill_(-9.0)
    assert torch.equal(one, network.encoder(frames, [True, False]))
    one.sum().backward()
    left_out = [parameter.grad for parameter in network.encoder.layers[1].parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in left_out)


def test_the_convolutions_gradient_is_scaled() -> None:
    gradients = []
    for factor in (1.0, 0.1):
        model = trainable(feature_gradient=factor, dropout=0.0).train()
        torch.manual_seed(0)
        model.loss(model.collate(utterances(6000, 7000))).backward()
        network: Any = model.network
        gradients.append((network.frames[0].weight.grad, network.projection.weight.grad))
    assert torch.allclose(gradients[1][0], gradients[0][0] * 0.1, atol=1e-8)
    assert torch.allclose(gradients[1][1], gradients[0][1], atol=1e-7)


# --- quantiser ---


def test_the_temperature_follows_the_optimizer_steps() -> None:
    """fairseq sets 2 x 0.999995^n before step n = 1, 2 …; several passes make a step; evaluation is none."""
    quantiser = Quantiser(4, codebooks=2, codes=3, width=8, temperature=(2.0, 0.5, 0.999995), passes_per_update=2)
    features = torch.randn(1, 3, 4)
    seen = []
    for _ in range(6):
        seen.append(float(quantiser.temperature()))
        quantiser.train()(features)
        quantiser.eval()(features)
    assert seen == pytest.approx([2 * 0.999995**step for step in (1, 1, 2, 2, 3, 3)], rel=1e-7)
    quantiser.passes.fill_(2 * 100_000)
    assert float(quantiser.temperature()) == pytest.approx(2 * 0.999995**100_001, rel=1e-6)
    quantiser.passes.fill_(2 * 300_000)
    assert float(quantiser.temperature()) == 0.5


def test_the_temperature_survives_a_checkpoint_and_narrow_weights() -> None:
    first, second = trainable(), trainable()
    first.loss(first.synthetic_batch(2))
    file = io.BytesIO()
    torch.save(first.network.state_dict(), file)
    file.seek(0)
    second.network.load_state_dict(torch.load(file, weights_only=True))
    assert int(second.to(torch.bfloat16).network.quantiser.passes) == 1  # type: ignore[union-attr,arg-type]


def test_evaluation_takes_the_likeliest_codes_and_training_draws() -> None:
    torch.manual_seed(0)
    quantiser = Quantiser(4, codebooks=2, codes=3, width=8, temperature=(2.0, 0.5, 0.9)).eval()
    features = torch.randn(2, 5, 4)
    chosen = quantiser(features)
    scores = quantiser.scores(features).view(2, 5, 2, 3)
    for row in range(2):
        for frame in range(5):
            best = scores[row, frame].argmax(1).tolist()
            assert torch.equal(
                chosen.vectors[row, frame], torch.cat([quantiser.entries[book, best[book]] for book in range(2)])
            )
            assert int(chosen.codes[row, frame]) == best[0] + 3 * best[1]
    shares = scores.softmax(3).reshape(10, 2, 3).mean(0)
    perplexity = sum(math.exp(-sum(float(p) * math.log(float(p) + 1e-7) for p in book)) for book in shares)
    assert float(chosen.unused) == pytest.approx((6 - perplexity) / 6, rel=1e-5)
    drawn = {int(quantiser.train()(features).codes[0, 0]) for _ in range(50)}
    assert len(drawn) > 3


# --- loss and metric ---


def test_the_loss_is_fairseqs() -> None:
    """Frame by frame, with library functions that ours does not use."""
    model = trainable(dropout=0.0, negatives=5).train()
    batch = model.collate(utterances(6000, 6500, 7000))
    torch.manual_seed(11)
    loss = model.loss(batch)
    torch.manual_seed(11)
    model.network.quantiser.passes.zero_()  # type: ignore[union-attr,operator]
    prediction = model._predict(batch)
    total, frames = 0.0, 0
    for row in range(3):
        vectors, codes = prediction.targets.vectors[row], prediction.targets.codes[row]
        for place in range(batch["masked"].shape[1]):
            wrong = [at for at in batch["negatives"][row, place].tolist() if codes[at] != codes[place]]
            candidates = torch.stack([vectors[place], *(vectors[at] for at in wrong)])
            scores = torch.cosine_similarity(prediction.context[row, place].unsqueeze(0), candidates) / 0.1
            total -= float(scores.log_softmax(0)[0])
            frames += 1
    features = model.network.frames(batch["audio"].unsqueeze(1))  # type: ignore[union-attr,operator]
    expected = total / frames + 0.1 * float(prediction.targets.unused) + 10 * float((features**2).mean())
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_what_cannot_be_told_apart_is_not_counted() -> None:
    right = torch.tensor([[[5.0, 1, 2], [1, 5, 2], [3, 3, 3]], [[2, -torch.inf, 1], [5, 5, 1], [-1, 0, 0]]])
    assert told_apart(right).tolist() == [[True, False, False], [True, True, False]]


def test_negatives_of_the_same_codes_are_left_out() -> None:
    context = torch.randn(1, 3, 4)
    targets = Quantised(torch.randn(1, 3, 4), torch.tensor([[7, 7, 2]]), torch.tensor(0.0))
    logits = contrast_logits(context, targets, torch.tensor([[[1, 2], [0, 2], [0, 1]]]), 0.1)
    assert logits.isinf().tolist() == [[[False, True, False], [False, True, False], [False, False, False]]]
    assert bool(contrast_loss(logits).isfinite())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_similarities_are_exact_under_autocast(dtype: torch.dtype) -> None:
    context, targets = torch.randn(1, 3, 64), Quantised(torch.randn(1, 3, 64), torch.arange(3)[None], torch.tensor(0.0))
    negatives = torch.tensor([[[1, 2], [0, 2], [0, 1]]])
    exact = contrast_logits(context, targets, negatives, 0.1)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(contrast_logits(context, targets, negatives, 0.1), exact)


def test_accuracy_depends_on_neither_batch_size_nor_neighbours() -> None:
    model = trainable().eval()
    data: Any = model.datasets(sample_spec()).evaluation
    examples = [data[index] for index in range(7)]

    def measured(size: int) -> float:
        with torch.no_grad():
            return evaluate(model, [model.collate(examples[at : at + size]) for at in range(0, 7, size)])["accuracy"]

    assert measured(7) == measured(3) == measured(1)


def test_a_training_batch_is_cut_to_its_shortest_and_drawn_from_its_seeds() -> None:
    model = trainable(layer_dropout=0.5)
    rows = utterances(6000, 7000)
    batch, again = model.collate(rows), model.collate(rows)
    assert batch["audio"].shape == (2, 6000) and torch.equal(batch["audio"][0], rows[0].audio)
    cut = batch["audio"][1]
    assert any(torch.equal(rows[1].audio[at : at + 6000], cut) for at in range(1001))
    assert all(torch.equal(batch[name], again[name]) for name in ("audio", "masked", "negatives"))
    assert batch["kept"] == again["kept"]
    other = model.collate([one._replace(seed=one.seed + 9) for one in rows])
    assert not torch.equal(other["negatives"], batch["negatives"])


def test_evaluation_is_uncut_and_of_every_layer() -> None:
    model = trainable(layer_dropout=0.9)
    batch = model.collate(utterances(6000, 20_000, whole=True))
    assert [one["audio"].shape for one in batch["utterances"]] == [(1, 6000), (1, 20_000)]
    assert all(all(one["kept"]) for one in batch["utterances"])


@torch.no_grad()
def test_the_tiny_target_is_beyond_an_untrained_network() -> None:
    model = built("wav2vec2").eval()
    data: Any = model.datasets(sample_spec()).evaluation
    chance = 1 / (1 + model.config.negatives)  # type: ignore[operator,union-attr]
    untrained = evaluate(model, [model.collate([data[index] for index in range(32)])])["accuracy"]
    target = model.recipe.training.quality.targets["accuracy"]
    assert target > 2 * chance and target > untrained + 0.1


def test_one_step_reaches_every_parameter() -> None:
    model = trainable(layer_dropout=0.5).train()
    model.loss(model.collate(utterances(6000, 7000))).backward()
    assert all(one.grad is not None for one in model.network.parameters())
    assert isinstance(model.network, nn.Module)

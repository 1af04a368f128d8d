from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tacotron_samples import predict, recipe, trainable, utterances
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.flop_counter import FlopCounterMode

from models.audio.synthesis.tacotron2 import Tacotron2Trainable
from models.audio.synthesis.tacotron2_network import Encoder, MelDecoder, State, _evaluation_mask
from models.datasets.base import DataError, EndlessSampler, evaluation_loader, training_loader
from models.datasets.spec import DataSpec

# --- the published case ---


def test_reference_is_the_published_case() -> None:
    case = recipe("reference")
    assert case.training.quality.targets == {"validation_loss": 0.4852}
    assert case.training.quality.mode == "min"
    assert (case.training.batch_size, case.training.max_grad_norm, case.unit) == (128, 1.0, "mel frames")
    assert (case.training.optimizer.name, case.training.optimizer.lr, case.training.optimizer.weight_decay) == (
        "adam",
        1e-3,
        1e-6,
    )
    steps_per_epoch = 12_500 // (8 * 128)
    assert case.training.schedule.milestones == tuple(epoch * steps_per_epoch for epoch in (500, 1000, 1500))
    assert case.training.schedule.gammas == (0.3, 0.1, 0.03)
    frames_per_clip = (23 * 3600 + 55 * 60 + 17) / 13_100 * 22_050 / 256
    assert case.architecture["frames_per_clip"] == round(frames_per_clip)
    assert case.training.quality.every_samples == 12_500
    assert case.training.max_train_samples == 1501 * steps_per_epoch * 8 * 128
    assert not case.architecture["mask_padding"]


def test_reference_size_on_meta() -> None:
    """Counted by hand from the architecture, layer by layer (weights + biases, batch norm twice its width)."""
    with torch.device("meta"):
        model = Tacotron2Trainable(recipe("reference"))
    embedding = 148 * 512
    encoder = 3 * (512 * 512 * 5 + 3 * 512) + 2 * (4 * 256 * (512 + 256) + 2 * 4 * 256)
    attention = 1024 * 128 + 512 * 128 + 2 * 32 * 31 + 32 * 128 + 128
    prenet = 80 * 256 + 256 * 256
    lstms = 4 * 1024 * (256 + 512 + 1024 + 2) + 4 * 1024 * (1024 + 512 + 1024 + 2)
    heads = 81 * (1024 + 512 + 1)
    postnet = 80 * 512 * 5 + 3 * 512 + 3 * (512 * 512 * 5 + 3 * 512) + 512 * 80 * 5 + 3 * 80
    expected = embedding + encoder + attention + prenet + lstms + heads + postnet
    # The energy has a weight per unit and no bias.
    assert sum(parameter.numel() for parameter in model.network.parameters()) == expected == 28_193_153


def test_flops_on_meta_agree_with_the_architecture() -> None:
    text, frames, clips = 7, 5, 2
    with torch.device("meta"):
        model = Tacotron2Trainable(recipe("reference", symbols_per_clip=text, frames_per_clip=frames))
        batch = model.synthetic_batch(clips)
        with FlopCounterMode(display=False) as counter:
            loss = model.loss(batch)
        forward = counter.get_total_flops()
        with counter:
            loss.backward()
    per_symbol = 3 * 512 * 512 * 5 + 2 * 4 * 256 * (512 + 256) + 512 * 128
    per_look = 2 * 32 * 31 + 32 * 128 + 128 + 512  # location, energy, context: for each frame and symbol
    lstms = 4 * 1024 * (256 + 512 + 1024) + 4 * 1024 * (1024 + 512 + 1024)
    prenet, query, heads = 80 * 256 + 256 * 256, 1024 * 128, 81 * (1024 + 512)
    postnet = (80 + 3 * 512 + 80) * 512 * 5
    per_frame = lstms + prenet + query + heads + postnet + text * per_look
    assert forward == 2 * clips * (text * per_symbol + frames * per_frame)
    assert loss.device.type == "meta"
    assert all(parameter.grad is not None for parameter in model.network.parameters())


# --- the network ---


def test_shapes_and_alignment() -> None:
    model = trainable()
    batch = model.collate(utterances((4, 9), (7, 6)))
    prediction = predict(model, batch)
    assert prediction.decoded.shape == prediction.refined.shape == (2, 9, 80)
    assert prediction.gate.shape == (2, 9)
    assert prediction.alignment.shape == (2, 9, 7)
    assert torch.allclose(prediction.alignment.sum(2), torch.ones(2, 9))
    assert torch.all(prediction.alignment[0, :, 4:] == 0)
    assert torch.all(prediction.alignment[1] > 0)


def test_encoder_reads_backwards_from_the_last_symbol() -> None:
    """The two LSTMs do what torch's bidirectional one does with a packed sequence."""
    encoder = trainable().network.encoder.eval()
    assert isinstance(encoder, Encoder)
    width = encoder.forward_lstm.input_size
    packed_lstm = nn.LSTM(width, width // 2, batch_first=True, bidirectional=True)
    weights = encoder.forward_lstm.state_dict()
    weights |= {f"{name}_reverse": value for name, value in encoder.backward_lstm.state_dict().items()}
    packed_lstm.load_state_dict(weights)
    encoder.convolutions = nn.ModuleList()
    symbols, lengths = torch.randint(1, 64, (3, 8)), torch.tensor([8, 3, 1])
    packed = pack_padded_sequence(encoder.embedding(symbols), lengths, batch_first=True)
    expected, _ = pad_packed_sequence(packed_lstm(packed)[0], batch_first=True)
    assert torch.allclose(encoder(symbols, lengths), expected, atol=1e-6)


def test_a_frame_is_predicted_from_earlier_frames_alone() -> None:
    model = trainable(prenet_dropout=0.0).eval()
    batch = model.collate(utterances((5, 10)))
    changed = batch | {"mels": batch["mels"].clone()}
    changed["mels"][:, 6:] += 3
    before, after = predict(model, batch), predict(model, changed)
    assert torch.equal(before.decoded[:, :7], after.decoded[:, :7])
    assert not torch.allclose(before.decoded[:, 7:], after.decoded[:, 7:])


def test_prenet_dropout_stays_on_in_evaluation() -> None:
    batch = trainable().collate(utterances((5, 10)))
    with_dropout, without = trainable().eval(), trainable(prenet_dropout=0.0).eval()
    assert not torch.equal(predict(with_dropout, batch).decoded, predict(without, batch).decoded)
    assert torch.equal(predict(with_dropout, batch).decoded, predict(with_dropout, batch).decoded)
    ones = torch.ones(1, 400, 64)
    for layer, width in enumerate((96, 64)):
        mask = _evaluation_mask(layer, torch.Size((400, width)), 0.25)
        assert sorted(set(mask.flatten().tolist())) == [0.0, pytest.approx(4 / 3)]
        assert float(mask.mean()) == pytest.approx(1.0, abs=0.02), "as much is kept as dropout makes up for"
        assert torch.equal(mask[:7], _evaluation_mask(layer, torch.Size((7, width)), 0.25)), "whatever the padding"
    assert not torch.equal(*(_evaluation_mask(layer, ones.shape[1:], 0.5) for layer in (0, 1)))


def test_zoneout_keeps_old_units_and_in_evaluation_their_share() -> None:
    step = trainable(zoneout=0.25).network.decoder.step
    old, new = torch.zeros(40, 50), torch.ones(40, 50)
    kept = torch.rand(40, 50) < 0.25
    assert torch.equal(step._keep(old, new, kept), (~kept).float())
    assert torch.allclose(step.eval()._keep(old, new, None), torch.full((40, 50), 0.75))
    decoder = trainable(zoneout=0.25).network.decoder
    assert isinstance(decoder, MelDecoder)
    masks = decoder._zoneout_masks(torch.zeros(200, 3, 64), steps=4)
    assert masks is not None
    assert len(masks) == 4
    share = torch.stack([mask.float().mean() for step_masks in masks for mask in step_masks])
    assert share.shape == (16,)
    assert torch.all((share - 0.25).abs() < 0.02)
    assert decoder.eval()._zoneout_masks(torch.zeros(200, 3, 64), steps=4) is None


def test_attention_sees_where_it_looked() -> None:
    """The weights handed on are the last ones, and their sum over time."""
    step = trainable(zoneout=0.0).network.decoder.step
    memory = step.attention.remember(torch.randn(2, 6, 64), torch.zeros(2, 6, dtype=torch.bool))
    zeros = torch.zeros(2, 96)
    state = State(zeros, zeros, zeros, zeros, torch.zeros(2, 64), torch.zeros(2, 6), torch.zeros(2, 6))
    seen = []
    for _ in range(3):
        state = step(torch.randn(2, 64), memory, state, None)
        seen.append(state.weights)
    assert torch.allclose(state.cumulative, torch.stack(seen).sum(0))
    moved = state._replace(cumulative=state.cumulative.flip(1))
    frame = torch.randn(2, 64)
    here, there = (step(frame, memory, at, None) for at in (state, moved))
    assert not torch.allclose(here.weights, there.weights)


# --- the loss ---


@pytest.mark.parametrize("seed", [0, 1])
def test_padding_changes_no_clip(seed: int) -> None:
    """A clip's frames and loss are the same alone and beside longer clips."""
    model = trainable(prenet_dropout=0.0).eval()
    torch.manual_seed(seed)
    for module in model.network.modules():  # statistics and biases of a trained network: padding would show
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.bias)
            module.running_mean = torch.randn(module.num_features) * 0.2
    clips = utterances((4, 9), (9, 14), (6, 5))
    together = model.collate(clips)
    prediction = predict(model, together)
    losses = []
    for row, clip in enumerate(clips):
        alone = model.collate([clip])
        single = predict(model, alone)
        frames = len(clip.mel)
        assert torch.allclose(prediction.refined[row, :frames], single.refined[0], atol=1e-4)
        assert torch.allclose(prediction.gate[row, :frames], single.gate[0], atol=1e-4)
        losses.append(float(model.loss(alone).detach()) * frames)
    assert float(model.loss(together).detach()) == pytest.approx(sum(losses) / together["frames"], rel=1e-5)


def test_loss_over_real_frames() -> None:
    model = trainable(prenet_dropout=0.0).eval()
    clips = utterances((4, 9), (6, 5))
    batch = model.collate(clips)
    prediction = predict(model, batch)
    total = 0.0
    for row, clip in enumerate(clips):
        frames = len(clip.mel)
        for mels in (prediction.decoded, prediction.refined):
            total += float(F.mse_loss(mels[row, :frames], clip.mel).detach()) * frames
        gate = torch.zeros(frames)
        gate[-1] = 1
        opening = F.binary_cross_entropy_with_logits(prediction.gate[row, :frames], gate, reduction="sum")
        total += float(opening.detach())
    assert float(model.loss(batch).detach()) == pytest.approx(total / (9 + 5), rel=1e-5)


def test_published_loss_counts_padding() -> None:
    """Plain means over the padded batch: silence and a shut gate are asked for after the end."""
    model = trainable(prenet_dropout=0.0, mask_padding=False).eval()
    batch = model.collate(utterances((4, 9), (6, 5)))
    prediction = predict(model, batch)
    gate = torch.zeros(2, 9)
    gate[0, 8:] = 1
    gate[1, 4:] = 1
    expected = F.mse_loss(prediction.decoded, batch["mels"]) + F.mse_loss(prediction.refined, batch["mels"])
    expected += F.binary_cross_entropy_with_logits(prediction.gate, gate)
    assert float(model.loss(batch).detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert model.loss_frames(batch) == 18


def test_loss_falls() -> None:
    model = trainable()
    batch = model.collate(utterances((4, 9), (7, 12), (5, 8), (6, 10)))
    optimizer = model.configure_optimizer()[0]
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mixed", [True, False])
def test_reduced_precision(dtype: torch.dtype, mixed: bool) -> None:
    model = trainable(prenet_dropout=0.0, convolution_dropout=0.0, zoneout=0.0)
    batch = model.collate(utterances((4, 9), (7, 6)))
    exact = float(model.loss(batch).detach())
    if not mixed:
        model.to(dtype)
        batch["mels"] = batch["mels"].to(dtype)
    with torch.autocast("cpu", dtype, enabled=mixed):
        loss = model.loss(batch)
    loss.backward()
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(exact, rel=0.02)
    kept = torch.float32 if mixed else dtype
    gradients = [parameter.grad for parameter in model.network.parameters()]
    assert all(grad is not None and grad.dtype == kept and grad.isfinite().all() for grad in gradients)
    with torch.no_grad(), torch.autocast("cpu", dtype, enabled=mixed):
        model.eval().evaluate(batch)
    assert math.isfinite(float(model.metrics["validation_loss"].compute()))


@pytest.mark.heavy
def test_compiler_reuses_one_step() -> None:
    """A graph compiler may not unroll the frames: as many graphs for 12 frames as for 6."""
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    model = trainable(prenet_dropout=0.0).eval()
    batch = model.collate(utterances((5, 12), (4, 9)))
    expected = predict(model, batch)
    model.network = torch.compile(model.network, backend=backend, dynamic=True)
    assert torch.allclose(predict(model, batch).refined, expected.refined, atol=1e-5)
    first = len(graphs)
    predict(model, model.collate(utterances((5, 25), (4, 9))))
    assert 0 < first < 12
    assert len(graphs) - first <= 2
    torch.compiler.reset()


# --- the contract ---


def test_collate_and_counts() -> None:
    model = trainable()
    batch = model.collate(utterances((4, 9), (7, 6)))
    assert batch["symbols"].shape == (2, 7)
    assert torch.all(batch["symbols"][0, 4:] == 0)
    assert batch["symbol_lengths"].tolist() == [4, 7]
    assert batch["mels"].shape == (2, 9, 80)
    assert torch.all(batch["mels"][1, 6:] == 0)
    assert batch["mel_lengths"].tolist() == [9, 6]
    assert model.count(batch) == (15, None)
    assert type(model.count(batch).samples) is int


@pytest.mark.parametrize("scale", ["reference", "tiny"])
def test_synthetic_batch(scale: str) -> None:
    with torch.device("meta"):
        model = Tacotron2Trainable(recipe(scale))
        shapes = model.synthetic_batch(3)
    real = model.synthetic_batch(3)
    for name, value in real.items():
        if name != "frames":
            assert (shapes[name].shape, shapes[name].dtype) == (value.shape, value.dtype)
            assert shapes[name].device.type == "meta"
    assert model.count(real).samples == model.count(shapes).samples == int(real["mel_lengths"].sum())
    assert model.loss_frames(real) == real["frames"]  # no padding: both definitions of the loss agree
    assert int(real["symbols"].min()) >= 1
    assert int(real["symbols"].max()) < 148


def test_validation_metric_is_exact_over_shares() -> None:
    model = trainable(prenet_dropout=0.0).eval()
    clips = utterances((4, 9), (7, 26), (5, 8), (6, 10), (3, 5))
    with torch.no_grad():
        model.evaluate(model.collate(clips))
        whole = float(model.metrics["validation_loss"].compute())
        model.reset_metrics(torch.device("cpu"))
        for share in (clips[:1], clips[1:]):
            model.evaluate(model.collate(share))
    assert float(model.metrics["validation_loss"].compute()) == pytest.approx(whole, rel=1e-5)


def test_divergence_is_not_averaged_away() -> None:
    model = trainable().eval()
    good = model.collate(utterances((4, 9)))
    bad = good | {"mels": torch.full_like(good["mels"], float("nan"))}
    with torch.no_grad():
        model.evaluate(good)
        model.evaluate(bad)
    assert math.isnan(float(model.metrics["validation_loss"].compute()))


def test_every_parameter_decays_once() -> None:
    model = trainable()
    groups = model.configure_optimizer()[0].param_groups
    assert len(groups) == 1
    assert groups[0]["weight_decay"] == 1e-6
    assert len(groups[0]["params"]) == len(list(model.network.parameters()))


def test_unknown_architecture_key_is_refused() -> None:
    with pytest.raises(TypeError, match="attention_width"):
        trainable(attention_width=3)


def test_reads_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "filelists").mkdir()
    (tmp_path / "mels").mkdir()
    for split, frames in (("train", 6), ("val", 4)):
        torch.save(torch.full((80, frames), -5.0), tmp_path / "mels" / f"{split}.pt")
        file = tmp_path / "filelists" / f"ljs_mel_text_{split}_filelist.txt"
        file.write_text(f"mels/{split}.pt|In being comparatively modern.\n")
    model = trainable()
    train, evaluation = model.datasets(DataSpec(name="dataset", root=str(tmp_path)))
    batch = model.collate([train[0], evaluation[0]])
    assert batch["mel_lengths"].tolist() == [6, 4]
    assert torch.isfinite(model.loss(batch))


def test_data_set_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root"):
        trainable().datasets(DataSpec(name="dataset"))
    with pytest.raises(DataError, match=r"ljs_mel_text_train_filelist\.txt"):
        trainable().datasets(DataSpec(name="dataset", root=str(tmp_path)))
    with pytest.raises(DataError, match="absent"):
        trainable().datasets(DataSpec(name="dataset", root=str(tmp_path / "absent")))


# --- training on the sample ---


def trivial_loss(model: Tacotron2Trainable) -> float:
    """Validation loss of the best constant: the mean training frame and the share of last frames, everywhere."""
    train, evaluation = model.datasets(DataSpec(name="sample"))
    seen = torch.cat([utterance.mel for utterance in train])  # type: ignore[attr-defined]
    held_out = torch.cat([utterance.mel for utterance in evaluation])  # type: ignore[attr-defined]
    rate, share = len(train) / len(seen), len(evaluation) / len(held_out)  # type: ignore[arg-type]
    gate = -(share * math.log(rate) + (1 - share) * math.log(1 - rate))
    return 2 * float(F.mse_loss(seen.mean(0).expand_as(held_out), held_out)) + gate


def test_target_is_out_of_reach_of_a_constant() -> None:
    model = trainable()
    assert model.recipe.training.quality.targets["validation_loss"] < 0.5 * trivial_loss(model)


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [1234, 7])
def test_training_reaches_the_tiny_target(seed: int) -> None:
    torch.manual_seed(seed)
    case = recipe()
    model = Tacotron2Trainable(case)
    train, evaluation = model.datasets(DataSpec(name="sample"))
    optimizer, scheduler = model.configure_optimizer()
    sampler = EndlessSampler(length=len(train), batch_size=case.training.batch_size, seed=seed)  # type: ignore[arg-type]
    shared = {
        "batch_size": case.training.batch_size,
        "limit": case.training.quality.samples,
        "rank": 0,
        "world": 1,
        "workers": 0,
    }
    every_steps = case.training.quality.every_samples // case.training.batch_size
    values = [float("inf")]
    for step, batch in enumerate(training_loader(train, sampler, model.collate, workers=0, pin=False), 1):
        optimizer.zero_grad()
        model.train().loss(batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), case.training.max_grad_norm or math.inf)
        optimizer.step()
        scheduler.step()
        if step % every_steps == 0:
            model.eval().reset_metrics(torch.device("cpu"))
            with torch.no_grad():
                for held_out in evaluation_loader(evaluation, model.collate, **shared):
                    model.evaluate(held_out)
            values.append(float(model.metrics["validation_loss"].compute()))
        if (
            case.training.quality.reached({"validation_loss": values[-1]})
            or step * case.training.batch_size >= case.training.max_train_samples
        ):
            break
    assert case.training.quality.reached({"validation_loss": values[-1]})
    assert step * case.training.batch_size < 0.5 * case.training.max_train_samples  # with room for other seeds

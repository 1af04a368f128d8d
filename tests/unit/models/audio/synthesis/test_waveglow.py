from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from language_samples import evaluate, recipe, sample_spec
from torch import Tensor, nn
from torch.nn import functional as F
from zoo import built

from models.audio.synthesis.waveglow import WaveGlowTrainable
from models.audio.synthesis.waveglow_network import Noise, WaveGlow, WaveGlowArchitecture


def small(**changes: Any) -> WaveGlow:
    """A network whose couplings do something: they begin with nothing to do."""
    torch.manual_seed(3)
    sizes = {"mels": 3, "flows": 5, "group": 8, "early_every": 2, "early_size": 2, "layers": 2, "channels": 6}
    config = WaveGlowArchitecture(**(sizes | changes), kernel_size=3, segment_length=16, symbols_per_clip=4)
    network = WaveGlow(config)
    for flow in network.flows:
        for parameter in flow.coupling.end.parameters():  # type: ignore[union-attr]
            nn.init.normal_(parameter, std=0.3)  # type: ignore[arg-type]
        flow.mixing.weight.data *= 1.2  # type: ignore[union-attr,operator]
    return network


def inputs(network: WaveGlow, rows: int, samples: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(4)
    mels = torch.randn(rows, network.config.mels, 1 + samples // 256, generator=random)
    return torch.randn(rows, samples, generator=random), mels


# --- the published case ---


def test_reference_is_the_published_case() -> None:
    case = recipe("WaveGlow", "reference")
    train = case.training
    assert (case.name, case.unit) == ("WaveGlow", "audio samples")
    assert (train.quality.targets, train.quality.mode) == ({"validation_loss": -5.72}, "min")
    assert (train.batch_size, train.max_grad_norm) == (10, 65504.0)
    assert (train.optimizer.name, train.optimizer.lr, train.optimizer.weight_decay) == ("adam", 1e-4, 0.0)
    assert train.schedule.name == "constant"
    assert train.max_train_samples == 250 * (12_500 // (8 * 10)) * 8 * 10
    assert case.architecture["segment_length"] == 8000 and case.architecture["flows"] == 12


@pytest.mark.parametrize(("channels", "millions"), [(512, 268.29), (256, 87.88)])
def test_as_many_parameters_as_published(channels: int, millions: float) -> None:
    case = recipe("WaveGlow", "reference")
    case.architecture["channels"] = channels
    with torch.device("meta"):
        network = WaveGlowTrainable(case).network
    assert sum(one.numel() for one in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    halves = [flow.coupling.start.in_channels for flow in network.flows]  # type: ignore[union-attr]
    assert halves == [4] * 4 + [3] * 4 + [2] * 4


def test_a_batch_counts_its_audio_samples() -> None:
    trainable = built("WaveGlow")
    assert trainable.count(trainable.synthetic_batch(3)).samples == 3 * trainable.config.segment_length  # type: ignore[operator]


# --- the network ---


def test_noise_becomes_the_speech_it_came_from() -> None:
    network = small().double()
    audio, mels = (one.double() for one in inputs(network, 2, 32))
    noise = network(audio, mels)
    assert not torch.allclose(noise.values.flatten(), audio.flatten(), atol=0.1)
    assert torch.allclose(network.inverse(noise.values, mels), audio, atol=1e-9)


def test_log_determinant_is_that_of_the_jacobian() -> None:
    network = small().double()
    audio, mels = (one.double() for one in inputs(network, 1, 16))
    jacobian = torch.autograd.functional.jacobian(lambda one: network(one, mels).values.flatten(), audio)
    expected = torch.linalg.slogdet(jacobian.reshape(16, 16)).logabsdet
    assert abs(float(expected)) > 1
    assert float(network(audio, mels).log_determinant) == pytest.approx(float(expected), rel=1e-5)


def published_forward(network: WaveGlow, audio: Tensor, mels: Tensor) -> tuple[Tensor, Tensor]:
    """The published network's own order of things (NVIDIA's), with these weights; noise (B, G, T) and loss."""
    group, channels = network.config.group, network.config.channels
    spectrum = network.upsampling(mels)[:, :, : audio.shape[1]]
    spectrum = spectrum.unfold(2, group, group).permute(0, 2, 1, 3)
    spectrum = spectrum.contiguous().view(spectrum.shape[0], spectrum.shape[1], -1).permute(0, 2, 1)
    rest = audio.unfold(1, group, group).permute(0, 2, 1)
    out, scales, determinants = [], torch.zeros(()), torch.zeros(())
    for number, flow in enumerate(network.flows):
        if number % network.config.early_every == 0 and number > 0:
            out.append(rest[:, : network.config.early_size])
            rest = rest[:, network.config.early_size :]
        coupling: Any = flow.coupling
        weight = flow.mixing.weight[:, :, 0]  # type: ignore[union-attr,index]
        rest = torch.einsum("ij,bjt->bit", weight, rest)
        determinants = determinants + rest.shape[0] * rest.shape[2] * torch.linalg.det(weight).abs().log()
        half = rest.shape[1] // 2
        hidden, total = coupling.start(rest[:, :half]), torch.zeros(())
        for place in range(network.config.layers):
            both = coupling.dilated[place](hidden) + coupling.conditions[place](spectrum)
            done = coupling.outputs[place](torch.tanh(both[:, :channels]) * torch.sigmoid(both[:, channels:]))
            if place < network.config.layers - 1:
                hidden, done = hidden + done[:, :channels], done[:, channels:]
            total = total + done
        answer = coupling.end(total)
        scales = scales + answer[:, half:].sum()
        rest = torch.cat([rest[:, :half], rest[:, half:] * answer[:, half:].exp() + answer[:, :half]], 1)
    values = torch.cat([*out, rest], 1)
    return values, ((values**2).sum() / 2 - scales - determinants) / values.numel()


def test_forward_and_loss_are_the_published_ones() -> None:
    trainable = WaveGlowTrainable(recipe("WaveGlow"))
    trainable.network = network = small(flows=3)
    audio, mels = inputs(network, 3, 512)
    values, loss = published_forward(network, audio, mels)
    assert torch.allclose(network(audio, mels).values, values, atol=1e-5)
    assert float(trainable.loss({"audio": audio, "mels": mels})) == pytest.approx(float(loss), rel=1e-5)


def test_dilated_convolutions_are_normalised_by_weight() -> None:
    dilated: Any = small(layers=3).flows[0].coupling.dilated  # type: ignore[union-attr]
    assert [one.dilation for one in dilated] == [(1,), (2,), (4,)]
    gain, direction = dilated[0].parametrizations.weight.original0, dilated[0].parametrizations.weight.original1
    assert torch.allclose(dilated[0].weight, gain * direction / direction.norm(dim=(1, 2), keepdim=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_determinants_are_exact_under_autocast(dtype: torch.dtype) -> None:
    network = small()
    audio, mels = inputs(network, 2, 32)
    for flow in network.flows:
        nn.init.zeros_(flow.coupling.end.weight)  # type: ignore[union-attr,arg-type]
        nn.init.zeros_(flow.coupling.end.bias)  # type: ignore[union-attr,arg-type]
    with torch.autocast("cpu", dtype=dtype):
        noise: Noise = network(audio, mels)
    groups = 2 * 32 // 8
    expected = sum(groups * math.log(1.2) * flow.mixing.in_channels for flow in network.flows)  # type: ignore[union-attr,operator,misc]
    assert noise.log_determinant.dtype == torch.float32
    assert float(noise.log_determinant) == pytest.approx(expected, rel=1e-5)


# --- loss and metric ---


def test_an_untouched_network_leaves_the_energy_of_the_signal() -> None:
    trainable = built("WaveGlow")
    batch = trainable.synthetic_batch(2)
    assert float(trainable.loss(batch)) == pytest.approx(float(batch["audio"].square().mean()) / 2, rel=1e-4)


def test_validation_loss_does_not_depend_on_the_batch_size() -> None:
    trainable = built("WaveGlow").eval()
    trainable.network = small(mels=10, flows=3)
    data: Any = trainable.datasets(sample_spec()).evaluation
    examples = [data[index] for index in range(10)]

    def measured(size: int) -> float:
        batches = [trainable.collate(examples[first : first + size]) for first in range(0, 10, size)]
        with torch.no_grad():
            return evaluate(trainable, batches)["validation_loss"]

    alone = [float(trainable.loss(trainable.collate([one]))) for one in examples]
    assert measured(3) == pytest.approx(measured(10), rel=1e-6) == pytest.approx(sum(alone) / 10, rel=1e-6)


def test_the_tiny_target_is_beyond_white_noise() -> None:
    """The likelihood of the sample under noise that knows how loud each segment is, but nothing else."""
    trainable = built("WaveGlow")
    data: Any = trainable.datasets(sample_spec()).evaluation
    variances = torch.stack([data[index].audio.square().mean() for index in range(len(data))])
    knowing = float((0.5 + 0.5 * variances.log()).mean())
    assert trainable.recipe.training.quality.targets["validation_loss"] < knowing - 0.25


def test_upsampled_mels_cover_a_segment() -> None:
    frames = 1 + 8000 // 256
    assert F.conv_transpose1d(torch.zeros(1, 1, frames), torch.zeros(1, 1, 1024), stride=256).shape[2] >= 8000

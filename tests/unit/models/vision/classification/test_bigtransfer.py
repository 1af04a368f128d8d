"""BiT's network against its own formulas, its published file, its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bit_samples import Array, bit_arrays, bit_shapes, write_bit
from language_samples import recipe
from torch import Tensor
from torch.nn import functional as F
from zoo import built

from models.datasets.base import DataError
from models.schedules import rate_factor
from models.weights import load_weights, read_weights

TINY: dict[str, Any] = {"layers": [1, 1], "channels": [128, 256], "width": 1, "classes": 50}
R152X2: dict[str, Any] = {"layers": [3, 8, 36, 3], "channels": [256, 512, 1024, 2048], "width": 2}


def loaded(path: Path) -> Any:
    trainable = built("bigtransfer").eval()
    load_weights(trainable.network, trainable.initial_weights(read_weights(path)), path=path)
    return trainable


def published_forward(arrays: dict[str, Array], image: Tensor) -> Tensor:
    """The features of bit_pytorch/models.py of google-research/big_transfer, from the arrays of its own file."""

    def convolve(x: Tensor, name: str, **options: int) -> Tensor:
        kernel = torch.from_numpy(arrays[f"resnet/{name}/standardized_conv2d/kernel"].transpose(3, 2, 0, 1).copy())
        variance, mean = torch.var_mean(kernel, dim=(1, 2, 3), keepdim=True, unbiased=False)
        return F.conv2d(x, (kernel - mean) / torch.sqrt(variance + 1e-10), **options)

    def norm(x: Tensor, name: str) -> Tensor:
        gamma, beta = (torch.from_numpy(arrays[f"resnet/{name}group_norm/{one}"]) for one in ("gamma", "beta"))
        return F.relu(F.group_norm(x, 32, gamma, beta))

    x = F.max_pool2d(F.pad(convolve(image, "root_block", stride=2, padding=3), (1, 1, 1, 1)), 3, 2)
    for stage in (1, 2):
        unit, stride = f"block{stage}/unit01", 1 if stage == 1 else 2
        out = norm(x, f"{unit}/a/")
        shortcut = convolve(out, f"{unit}/a/proj", stride=stride)
        out = convolve(out, f"{unit}/a")
        out = convolve(norm(out, f"{unit}/b/"), f"{unit}/b", stride=stride, padding=1)
        x = convolve(norm(out, f"{unit}/c/"), f"{unit}/c") + shortcut
    return norm(x, "").mean(dim=(2, 3))


def test_the_networks_features_are_those_of_the_published_code(tmp_path: Path) -> None:
    arrays = bit_arrays(bit_shapes(**TINY))
    trainable = loaded(write_bit(tmp_path / "BiT-M-R152x2.npz", arrays))
    image = torch.randn(2, 3, 64, 48)
    with torch.no_grad():
        features = trainable.network.forward_features(image).mean(dim=(2, 3))
        assert torch.allclose(features, published_forward(arrays, image), rtol=1e-4, atol=1e-4)


def test_the_new_head_begins_with_zeros(tmp_path: Path) -> None:
    trainable = loaded(write_bit(tmp_path / "bit.npz", bit_arrays(bit_shapes(**TINY))))
    with torch.no_grad():
        assert trainable.network(torch.randn(2, 3, 32, 32)).eq(0).all()


def test_every_tensor_of_the_published_file_has_its_place() -> None:
    """Names and shapes alone, at the true size."""
    with torch.device("meta"):
        trainable = built("bigtransfer", "reference")
    tensors = {name: torch.empty(shape, device="meta") for name, shape in bit_shapes(**R152X2).items()}
    found = trainable.initial_weights(tensors)
    own = {name: tuple(one.shape) for name, one in trainable.network.state_dict().items() if "head.fc" not in name}
    assert {name: tuple(one.shape) for name, one in found.tensors.items()} == own
    assert found.may_lack == ("head.fc.*",)


def damage(arrays: dict[str, Array], what: str) -> None:
    kernel = "resnet/block2/unit01/b/standardized_conv2d/kernel"
    if what == "missing":
        del arrays[kernel]
    elif what == "another size":
        arrays[kernel] = arrays[kernel][..., :-1]
    elif what == "foreign":
        arrays["resnet/block9/unit01/squeeze/kernel"] = arrays[kernel]
    else:
        arrays[kernel] = arrays[kernel].reshape(-1, arrays[kernel].shape[-1])


@pytest.mark.parametrize("what", ["missing", "another size", "foreign", "flat"])
def test_a_file_of_another_network_is_refused(tmp_path: Path, what: str) -> None:
    arrays = bit_arrays(bit_shapes(**TINY))
    damage(arrays, what)
    path = write_bit(tmp_path / "bit.npz", arrays)
    with pytest.raises(DataError, match=r"stages\.1\.blocks\.0\.conv2|block9") as caught:
        loaded(path)
    assert str(path) in str(caught.value)


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = write_bit(tmp_path / "bit.npz", bit_arrays(bit_shapes(**TINY)))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"bit\.npz"):
        loaded(path)


def test_reference_starts_from_the_published_file() -> None:
    assert "BiT-M-R152x2.npz" in str(recipe("bigtransfer", "reference").initial_weights)
    assert recipe("bigtransfer").initial_weights is None


def test_rates_follow_the_steps_and_do_not_begin_again() -> None:
    training = recipe("bigtransfer", "reference").training
    wanted = {0: 0.003 / 500, 249: 0.0015, 500: 0.003, 2999: 0.003, 3000: 3e-4, 6000: 3e-5, 9000: 3e-6, 10010: 3e-7}
    for step, rate in wanted.items():
        assert training.optimizer.lr * rate_factor(training.schedule, step) == pytest.approx(rate)
    assert (training.optimizer.momentum, training.optimizer.weight_decay) == (0.9, 0)
    assert training.regularisation.mixup_alpha == 0.1
    assert training.max_train_samples == 40_000 * 8 * 16

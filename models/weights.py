"""Initial weights from a file: safetensors, PyTorch's own form, NumPy's .npz, or a Hugging Face folder, whole or split.

Nothing in a checkpoint is run: `.pth`, `.pt`, `.bin` and `.ckpt` are read with `weights_only`, `.npz` without pickles.
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.datasets.base import DataError

RANDOM = "random"
PICKLED = (".pth", ".pt", ".bin", ".ckpt")
EXPECTED = (
    "a .safetensors, .pth, .pt, .bin, .ckpt or .npz file, or a folder that holds model.safetensors or "
    "pytorch_model.bin, a folder of diffusers, or the run folder of a task=converge"
)
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE = (
    *("model.safetensors", "pytorch_model.bin"),
    *("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
)
PIPELINE, PARTS = "model_index.json", ("text_encoder", "unet", "vae")
"""What makes a folder a pipeline of diffusers, and the folders in it that are read."""
WRAPPERS = ("state_dict", "model", "model_state_dict", "module")
"""Keys under which training programs keep the weights beside their own state."""
OF_RUNS = (Path("checkpoints") / "reached.ckpt", Path("checkpoints") / "last.ckpt")
"""Where a run of `task=converge` keeps the weights that reached the target; of one that did not, the last ones."""
TRAINED, AVERAGED = "trainable.network.", "average.average_"
"""How the names begin there: of the network's own tensors, and of their averages, which evaluations use instead."""
SHOWN = 3
BLOCKED = re.compile(r"GLOBAL (\S+)")
"""How torch names what a pickle asks for and tensors do not need."""


class InitialWeights(NamedTuple):
    """A checkpoint's tensors under the names of a network, and what of the network they need not cover."""

    tensors: dict[str, Tensor]
    may_lack: tuple[str, ...] = ()
    """Glob patterns of the network's names that stay random where the checkpoint has none: a new head."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a checkpoint by its name, on the host; of a pipeline's parts, their folder's name comes first.

    Raises:
        DataError: there is no such file, it is of another kind, or it is damaged; names it.
    """
    if not path.exists():
        raise DataError("model.weights does not exist", where=path, expected=EXPECTED)
    weights: dict[str, Tensor] = {}
    if (path / PIPELINE).is_file():
        for name in PARTS:
            weights |= {f"{name}.{key}": one for key, one in read_weights(path / name).items()}
        return weights
    for part in _parts(path):
        weights |= _read_file(part)
    return weights


def load_weights(network: nn.Module, weights: InitialWeights, *, path: Path) -> None:
    """Put a checkpoint's tensors into a network; every parameter must be there, in its shape.

    Of parameters that are one tensor under several names, as tied embeddings are, one name is enough.

    Raises:
        DataError: names the first parameters that are missing, unexpected, of another shape or not finite.
    """
    own, tensors = network.state_dict(), weights.tensors
    there = {own[name].data_ptr() for name in own if name in tensors}
    missing = [name for name in own if name not in tensors and own[name].data_ptr() not in there]
    wrong = {
        "missing": [name for name in missing if not any(fnmatch(name, one) for one in weights.may_lack)],
        "unexpected": [name for name in tensors if name not in own],
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in own.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ],
        "not finite": [name for name in own if name in tensors and not tensors[name].isfinite().all()],
    }
    problems = [f"{len(names)} {what} ({', '.join(names[:SHOWN])} …)" for what, names in wrong.items() if names]
    if problems:
        raise DataError(
            f"the checkpoint does not fit the model: {'; '.join(problems)}",
            where=path,
            expected=f"the {len(own)} tensors of this model at this scale",
        )
    network.load_state_dict(tensors, strict=False)


def of_run(weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The tensors that a run of this project was evaluated with, under the network's names; others as they are."""
    trained = {name.removeprefix(TRAINED): one for name, one in weights.items() if name.startswith(TRAINED)}
    averages = {name.removeprefix(AVERAGED): one for name, one in weights.items() if name.startswith(AVERAGED)}
    named = (*network.named_parameters(), *network.named_buffers())
    floating = [name for name, tensor in named if tensor.is_floating_point()]
    averaged = {name: averages[str(place)] for place, name in enumerate(floating) if str(place) in averages}
    return {**trained, **averaged} if trained else weights


def is_unreached(path: Path) -> bool:
    """Whether a run's folder has its last weights alone: it missed its target, or was ended before."""
    reached, last = (path / name for name in OF_RUNS)
    return last.is_file() and not reached.is_file()


def _parts(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    if of_run := next((path / name for name in OF_RUNS if (path / name).is_file()), None):
        yield of_run
        return
    for name in INDEXES:
        if (path / name).is_file():
            yield from _indexed(path / name)
            return
    for name in SINGLE:
        if (path / name).is_file():
            yield path / name
            return
    raise DataError("the folder of model.weights holds no checkpoint", where=path, expected=EXPECTED)


def _indexed(index: Path) -> Iterator[Path]:
    try:
        files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            "the checkpoint's index cannot be read", where=index, expected="a weight_map of files"
        ) from error
    for name in files:
        part = index.parent / Path(name).name
        if not part.is_file():
            raise DataError(
                "a part of the checkpoint is missing", where=part, expected=f"every file named in {index.name}"
            )
        yield part


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if path.suffix in PICKLED:
            with torch.serialization.safe_globals(_beside_weights()):
                return _state_dict(torch.load(path, map_location="cpu", weights_only=True))
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except Exception as error:
        raise DataError(f"the checkpoint cannot be read ({_reason(error)})", where=path, expected=EXPECTED) from error
    raise DataError("the checkpoint is of an unknown kind", where=path, expected=EXPECTED)


def _reason(error: Exception) -> str:
    """One line. Where torch refused to run what a pickle asks for, its advice to allow that is left out."""
    if isinstance(error, pickle.UnpicklingError):
        named = BLOCKED.search(str(error))
        what = f"asks for {named[1]}" if named else "is damaged or holds more than tensors"
        return f"it {what}, and nothing in a checkpoint is run"
    return next(iter(str(error).splitlines()), type(error).__name__)


def _beside_weights() -> list[Any]:
    """What training programs keep beside weights and what runs nothing: their options, states of NumPy's generator."""
    rebuild = np.zeros(0).__reduce__()[0]
    names = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
    arrays = [np.ndarray, np.dtype, type(np.dtype(np.uint32)), *((rebuild, name) for name in names)]
    return [argparse.Namespace, *arrays]


def _state_dict(loaded: Any) -> dict[str, Tensor]:
    """The tensors of a loaded file, out of the wrapper that a training program put around them."""
    for key in WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        raise ValueError(f"a {type(loaded).__name__} where a dict of tensors belongs")
    tensors = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError("it holds no tensor")
    return tensors

"""`framework=tensorflow`, really run: losses beside PyTorch's, two ranks, convergence, weights, wrong inputs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from command import run
from framework_run import losses, records, run_cases

from runner.core.events import Name, read_events

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed"),
]

CASE = ("model=resnet50", "data.workers=0", "model.architecture.image_size=64", "model.train.optimizer.lr=0.001")
TWO = ("topology=node", "topology.devices=2", "model.train.batch_size=16")
TWICE = ("model.train.gradient_accumulation_steps=2", "model.train.batch_size=8", "model.train.max_grad_norm=1.0")
TOLERANCES = (2e-6, 5e-4, 1e-2, 5e-2, 5e-2)
"""Relative difference of each step's loss. Batch normalisation multiplies rounding with every step: PyTorch's own two
memory formats differ by a hundredth at the fifth. Gradients are compared in tests/support/tensorflow_checks.py."""
CASES = {"plain": (), "twice": TWICE, "smoothed": ("model.train.regularisation.label_smoothing=0.1",)}
PAIRS = {"plain": TWO, "twice": (*TWO, *TWICE)}


def trained(
    folder: Path, framework: str, cases: dict[str, tuple[str, ...]], *, ranks: int = 1, also: tuple[str, ...] = ()
) -> Path:
    for name, words in cases.items():  # a process has one cluster in its life
        given = {name: [*CASE, f"framework={framework}", *words, *also]}
        run_cases(folder / name, given, ranks=ranks)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("alone")
    return {
        "pytorch": trained(folder / "pytorch", "pytorch", CASES),
        "tensorflow": trained(folder / "tensorflow", "tensorflow", CASES),
        "xla": trained(folder / "xla", "tensorflow", {"plain": ()}, also=("framework.xla=true",)),
    }


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return {
        "pytorch": trained(folder / "pytorch", "pytorch", PAIRS, ranks=2),
        "tensorflow": trained(folder / "tensorflow", "tensorflow", PAIRS, ranks=2),
        "xla": trained(folder / "xla", "tensorflow", {"plain": TWO}, ranks=2, also=("framework.xla=true",)),
    }


def same_losses(found: list[float], expected: list[float]) -> None:
    assert len(found) == len(set(expected)) == len(TOLERANCES)
    for own, theirs, tolerance in zip(found, expected, TOLERANCES, strict=True):
        assert own == pytest.approx(theirs, rel=tolerance)


@pytest.mark.parametrize("case", CASES)
def test_five_losses_are_pytorchs(alone: dict[str, Path], case: str) -> None:
    same_losses(losses(alone["tensorflow"] / case / case), losses(alone["pytorch"] / case / case))
    samples = [one["samples"] for one in records(alone["tensorflow"] / case / case)]
    assert samples == [one["samples"] for one in records(alone["pytorch"] / case / case)]


def test_xla_computes_the_same(alone: dict[str, Path]) -> None:
    same_losses(losses(alone["xla"] / "plain" / "plain"), losses(alone["pytorch"] / "plain" / "plain"))


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("case", PAIRS)
def test_each_of_two_ranks_has_the_losses_of_pytorchs(pair: dict[str, Path], case: str, rank: int) -> None:
    same_losses(losses(pair["tensorflow"] / case / case, rank), losses(pair["pytorch"] / case / case, rank))


def test_two_ranks_with_xla_compute_the_same(pair: dict[str, Path]) -> None:
    same_losses(losses(pair["xla"] / "plain" / "plain"), losses(pair["pytorch"] / "plain" / "plain"))


def test_ranks_read_batches_of_their_own_and_count_their_own(pair: dict[str, Path]) -> None:
    ranks = [records(pair["tensorflow"] / "plain" / "plain", rank) for rank in (0, 1)]
    assert [one["samples"] for one in ranks[0]] == [one["samples"] for one in ranks[1]] == [16.0] * 5
    assert ranks[0][0]["loss"] != ranks[1][0]["loss"]


def test_it_converges_and_pytorch_reads_its_weights(tmp_path: Path) -> None:
    words = ("model=resnet50", "scale=tiny", "vendor=cpu", "measure=smoke")
    trained_run = run(tmp_path / "train", *words, "framework=tensorflow", "task=converge", timeout_s=900)
    assert trained_run.code == 0, trained_run.out
    events, _ = read_events(trained_run.folder / "events/rank0.log")
    compiled = [event.value["what"] for event in events if event.name == Name.COMPILED]
    assert compiled == ["evaluation", "step"]
    quality = [event.value for event in events if event.name == Name.EVALUATE][-1]
    served = run(tmp_path / "serve", *words, "task=infer", f"model.weights={trained_run.folder}")
    assert served.code == 0, served.out
    answered = served.found[0]["figures"]["accuracy/reference"]["value"]
    assert answered == pytest.approx(quality["quality"]["top1"], abs=0.005)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("framework.xla=often",), 2, "framework.xla"),
        (("precision=bf16_true",), 2, "does not train in precision=bf16_true"),
        (("precision=tf32",), 2, "tf32"),
        (("vendor=habana", "emulate=true", "precision=bf16"), 3, "knows no devices of vendor=habana"),
        (("compiler=inductor",), 2, "compiler=inductor compiles PyTorch's networks"),
        (("model.train.optimizer.name=lamb", "model.train.optimizer.momentum=null"), 2, "name=lamb is not done"),
        (("model.train.regularisation.mixup_alpha=0.2",), 2, "mixup_alpha is not done"),
    ],
)
def test_what_it_cannot_do_is_said(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    ended = run(tmp_path, "model=resnet50", "framework=tensorflow", "vendor=cpu", "scale=tiny", "measure=smoke", *words)
    assert (ended.code, said in " ".join(ended.out.split())) == (code, True), ended.out

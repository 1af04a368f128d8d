"""Small networks with real weights, as graphs for engines that take them out of PyTorch."""

from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from hardware.engines.graph import Graph, Placement, Tensors
from hardware.spec import PrecisionSpec

CONF = Path(__file__).parents[2] / "conf"
WIDTH, HEADS, TOKENS, WORDS = 32, 4, 8, 50


class ConvolutionSample(nn.Module):
    """Two convolutions and a linear layer: three products."""

    products = 3

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.second, self.head = nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.Linear(32, 10)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        found = self.second(self.norm(self.first(image)).relu()).relu()
        return (self.head(found.mean((2, 3))),)

    @staticmethod
    def batch(rows: int) -> tuple[Tensor]:
        return (torch.randn(rows, 3, 16, 16),)


class TransformerSample(nn.Module):
    """A block of attention and GELU over embedded words: six products."""

    products = 6

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(WORDS, WIDTH), nn.LayerNorm(WIDTH)
        self.mixed, self.joined = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, words: Tensor) -> tuple[Tensor]:
        state = self.words(words)
        rows, length, _ = state.shape
        heads = (
            part.reshape(rows, length, HEADS, -1).transpose(1, 2) for part in self.mixed(self.norm(state)).chunk(3, -1)
        )
        state = state + self.joined(scaled_dot_product_attention(*heads).transpose(1, 2).reshape(rows, length, WIDTH))
        return (state + self.down(gelu(self.up(self.norm(state)))),)

    @staticmethod
    def batch(rows: int) -> tuple[Tensor]:
        return (torch.randint(WORDS, (rows, TOKENS)),)


class ValueDependent(nn.Module):
    """Cannot be captured: which way it goes depends on what it is given."""

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (image * 2,) if image.sum() > 0 else (image,)


class SingularValues(nn.Module):
    """Can be captured, and has an operator that no engine here takes."""

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (torch.linalg.svd(image)[1],)


def graph_of(network: nn.Module, inputs: Tensors) -> Graph:
    return Graph(network=network.eval(), inputs=inputs, input_names=("given",), output_names=("found",))


def sample(kind: Any, rows: int = 2) -> Graph:
    torch.manual_seed(0)
    return graph_of(kind(), kind.batch(rows))


def placed(folder: Path, precision: str = "fp32", calibration: list[Tensors] | None = None) -> Placement:
    spec = PrecisionSpec(**yaml.safe_load((CONF / f"precision/{precision}.yaml").read_text()))
    return Placement(device=torch.device("cpu"), precision=spec, folder=folder, calibration=calibration or [])


def calibration(kind: Any, batches: int = 4, rows: int = 4) -> list[Tensors]:
    torch.manual_seed(1)
    return [kind.batch(rows) for _ in range(batches)]


def reference(graph: Graph) -> Tensor:
    with torch.inference_mode():
        found: Tensor = graph.network(*graph.inputs)[0]
    return found


def snr_db(found: Tensor, wanted: Tensor) -> float:
    """Written apart from runner.serving.numerics."""
    error = (found.double() - wanted.double()).norm()
    return float("inf") if error == 0 else float(20 * torch.log10(wanted.double().norm() / error))

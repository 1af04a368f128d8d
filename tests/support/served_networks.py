"""Small real networks as engines are given them: convolutions with a linear layer, a transformer block, one of linear
layers alone; placements on the host; and how far answers lie apart."""

import math
from pathlib import Path

import torch
from hardware_specs import precision
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from hardware.engines.graph import Graph, Placement, Tensors

WIDTH, TOKENS, ROWS = 64, 12, 4


class SmallConvolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()
        )
        self.head = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensors:
        return (self.head(self.features(image).mean((2, 3))),)


class SmallBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, WIDTH)
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)])
        self.joint, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensors:
        hidden = self.embedding(ids)
        rows, tokens, width = hidden.shape
        parts = self.joint(self.norms[0](hidden)).chunk(3, dim=-1)
        query, key, value = (part.view(rows, tokens, 4, width // 4).transpose(1, 2) for part in parts)
        attended = scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :] > 0)
        hidden = hidden + self.out(attended.transpose(1, 2).reshape(rows, tokens, width))
        hidden = hidden + self.down(gelu(self.up(self.norms[1](hidden))))
        return hidden, hidden.mean(1)


def convolutions() -> Graph:
    torch.manual_seed(0)
    inputs = (torch.randn(ROWS, 3, 16, 16),)
    return Graph(network=SmallConvolutions().eval(), inputs=inputs, input_names=("image",), output_names=("logits",))


def block() -> Graph:
    torch.manual_seed(0)
    mask = torch.ones(ROWS, TOKENS, dtype=torch.int64)
    mask[1, TOKENS // 2 :] = 0
    inputs = (torch.randint(100, (ROWS, TOKENS)), mask)
    return Graph(
        network=SmallBlock().eval(), inputs=inputs, input_names=("ids", "mask"), output_names=("hidden", "pooled")
    )


def placement(folder: Path, name: str) -> Placement:
    return Placement(device=torch.device("cpu"), precision=precision(name), folder=folder)


def answers_of(graph: Graph) -> Tensors:
    """The float32 reference."""
    with torch.inference_mode():
        return tuple(graph.network(*graph.inputs))


def least_snr_db(found: Tensors, wanted: Tensors) -> float:
    """Of several outputs the worst: ten times the decimal logarithm of power over error's power."""
    ratios = []
    for ours, theirs in zip(found, wanted, strict=True):
        noise = float((ours.double() - theirs.double()).square().sum())
        ratios.append(10 * math.log10(float(theirs.double().square().sum()) / noise) if noise else math.inf)
    return min(ratios)


GRAPHS = {"convolutions": convolutions, "block": block}


def linear(width: int = 8) -> Graph:
    """What compiles fastest."""
    torch.manual_seed(0)
    network = OneLinear(width).eval()
    return Graph(network=network, inputs=(torch.randn(2, width),), input_names=("in",), output_names=("out",))


class OneLinear(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, given: Tensor) -> Tensors:
        return (self.layer(given),)

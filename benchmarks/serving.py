"""What serving through the harness costs: ONNX Runtime and OpenVINO asked by it, and by bare loops over the same.

    python -m benchmarks.serving [--pairs 7] [--seconds 2]

Both sides run in one process, by turns, on a network that answers within about a millisecond, so that what is added
shows.
OpenVINO's own `benchmark_app` asks the same model with the same settings, in a process of its own.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.record import RESULTS, Record, goal, settle, summary, take_turns
from hardware.engines.exported.onnxruntime import Onnxruntime
from hardware.engines.exported.openvino import Openvino
from hardware.engines.graph import Graph, Placement
from hardware.spec import PrecisionSpec
from runner.core.load import Load
from runner.serving.load.offline import Offline
from runner.serving.load.requests import append_requests, read_requests
from runner.serving.load.system import ForwardSystem

LEAST_OF_BARE, LEAST_OF_APP = 0.98, 0.97
RECORDED = 10_000
FP32 = PrecisionSpec(name="fp32", weights="float32", autocast=None, matmul="ieee")


class SmallNetwork(nn.Module):
    """Some convolutions: about half a millisecond on one core."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3, 2), nn.ReLU(), nn.Flatten(1))
        self.head = nn.Linear(64 * 14 * 14, 10)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        """Logits of images of 32 pixels."""
        return (self.head(self.body(image)),)


def graph() -> Graph:
    """The network and one image."""
    torch.manual_seed(0)
    image = torch.randn(1, 3, 32, 32)
    return Graph(network=SmallNetwork().eval(), inputs=(image,), input_names=("image",), output_names=("logits",))


def rate(ask: Callable[[int], object], seconds: float) -> float:
    """Requests per second of blocks of 200, over at least so long."""
    done, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        ask(done)
        done += 200
    return done / (time.perf_counter() - began_s)


def ours(compiled: Any, of: Graph, folder: Path) -> Callable[[int], object]:
    """Through `load=offline`: 200 requests a call."""
    arrival = Offline(Load(name="offline"), ForwardSystem(compiled, [of.inputs], 1), seed=0, folder=folder)
    return lambda first: arrival.send(200, first)


def bare(run: Callable[[Any], Any], feed: Any) -> Callable[[int], object]:
    """The engine's own call in a loop: 200 requests a call."""

    def ask(first: int) -> None:
        for _ in range(200):
            run(feed)

    return ask


def against(sides: dict[str, Callable[[int], object]], options: argparse.Namespace) -> dict[str, Any]:
    """Ratios of requests per second, ours over bare, pair by pair."""
    for ask in sides.values():
        ask(0)
    turns = {name: (lambda ask=ask: {"per_second": rate(ask, options.seconds)}) for name, ask in sides.items()}
    pairs = take_turns(options.pairs, turns, shown="per_second")
    ratios = [pair["ours"]["per_second"] / pair["bare"]["per_second"] for pair in pairs]
    return {"ratio": summary(ratios), "ours_per_second": summary([pair["ours"]["per_second"] for pair in pairs])}


def benchmark_app(model: Path, seconds: float) -> float | None:
    """Requests per second of OpenVINO's own tool: synchronous, one request at a time; None where it is not there."""
    tool = shutil.which("benchmark_app", path=str(Path(sys.executable).parent))
    if tool is None:
        return None
    asked = ["-m", str(model), "-api", "sync", "-hint", "none", "-nstreams", "1", "-t", str(max(1, round(seconds)))]
    told = subprocess.run([tool, *asked, "-infer_precision", "f32"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Throughput:\s+([\d.]+) FPS", told)
    return float(found[1]) if found else None


def recorded(folder: Path) -> dict[str, Any]:
    """Whether requests at the pace of an empty system are all written down, and read back as they were."""
    from benchmarks.arrivals import arrival

    sent = arrival("offline", folder).send(RECORDED, 0)
    seconds = sent[-1].ended_s - sent[0].begun_s
    append_requests(folder, 0, sent)
    return {"asked_per_second": len(sent) / seconds, "lost": len(sent) - len(read_requests(folder))}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both engines, and the file of requests."""
    of = graph()
    found: dict[str, Any] = {}
    placements = {
        name: Placement(device=torch.device("cpu"), precision=FP32, folder=folder / name) for name in ("ort", "ov")
    }
    for placement in placements.values():
        placement.folder.mkdir()
    ort: Any = Onnxruntime({}).compile(of, placements["ort"])
    feed = ort.place(of.inputs)
    found["onnxruntime"] = against({"ours": ours(ort, of, folder), "bare": bare(ort.run, feed)}, options)
    ov: Any = Openvino({}).compile(of, placements["ov"])
    request = ov.place(of.inputs)
    found["openvino"] = against({"ours": ours(ov, of, folder), "bare": bare(ov.run, request)}, options)
    model = next(placements["ov"].folder.rglob("*.xml"), None)
    apps = [one for _ in range(3) if model and (one := benchmark_app(model, options.seconds)) is not None]
    found["openvino"]["benchmark_app_per_second"] = summary(apps) if apps else None
    return found | {"recorded": recorded(folder)}


def main(argv: list[str] | None = None) -> int:
    """Measure and file; returns 0."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    made.add_argument("--pairs", type=int, default=7)
    made.add_argument("--seconds", type=float, default=2.0)
    made.add_argument("--out", type=Path, default=RESULTS)
    options = made.parse_args(argv)
    record = Record("serving", folder=options.out)
    busy = settle()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    goals = {
        name: goal(LEAST_OF_BARE, "at_least", found[name]["ratio"]["median"]) for name in ("onnxruntime", "openvino")
    }
    app = found["openvino"]["benchmark_app_per_second"]
    if app is not None:
        ratio = found["openvino"]["ours_per_second"]["median"] / app["median"]
        goals["openvino_to_benchmark_app"] = goal(LEAST_OF_APP, "at_least", ratio)
    print(record.file({"busy_before": busy, "goals": goals} | found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

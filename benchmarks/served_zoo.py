"""Every served model on every engine that is installed here: compiled, its outputs held to the framework's in float32.

    python -m benchmarks.served_zoo [--engines onnxruntime openvino:int8 …] [--models resnet50 …] [--limit-s 240]

Each engine has a process of its own, which goes through the models at `scale=tiny`; what an engine refuses, or does not
finish within the limit, is a row with its reason. `docs/support.md` shows the rows as a table.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.engine import ROOT, compose_case
from benchmarks.record import RESULTS, Record
from hardware.child import environment_of_child
from hardware.stacks.host import cpu_name
from runner.config.schema import Case
from runner.core import packages
from runner.core.errors import classify

ENGINES = (
    *("eager", "eager:bf16", "torchscript", "onnxruntime", "onnxruntime:int8", "openvino", "openvino:int8"),
    *("torchao:int8", "executorch", "stablehlo", "aot_inductor", "inductor"),
)
"""`engine` or `engine:precision`, the quick ones first."""
VENDOR = "cpu"
PLACE = re.compile(r"/(?:[\w.-]+/)+")
"""A folder in a message: it is this machine's."""


class LimitReachedError(RuntimeError):
    """A model took longer than the limit."""


def served_models() -> list[str]:
    """Models of `conf/model` with an `infer:` section, by name."""
    found = []
    for name in packages.choices("model", outside=False):
        path = packages.leaf("model", name)
        if path is not None and "\ninfer:" in path.read_text():
            found.append(name)
    return found


def case_of(model: str, engine: str) -> Case:
    """The case, answered in one forward pass also where the model writes."""
    compiler, _, precision = engine.partition(":")
    chosen = [f"model={model}", f"compiler={compiler}", f"precision={precision or 'fp32'}", f"vendor={VENDOR}"]
    case = compose_case("task=infer", "scale=tiny", *chosen)
    return replace(case, model=replace(case.model, infer=replace(case.model.inference, generation=None)))


def row_of(model: str, engine: str, folder: Path) -> dict[str, Any]:
    """What became of one model on one engine."""
    case = case_of(model, engine)
    told: dict[str, Any] = {"model": model, "task": "infer", "compiler": case.compiler.name, "scale": "tiny"}
    told |= {"precision": case.precision.name, "vendor": VENDOR, "chip": cpu_name()}
    began_s = time.monotonic()
    try:
        told |= {"status": "done"} | _served(case, folder)
    except Exception as error:  # noqa: BLE001 -- whatever an engine meets is a row
        cause = classify(error)
        told |= {"status": "failed", "class": type(cause).__name__, "reason": PLACE.sub("…", str(cause))[:300]}
    return told | {"seconds": round(time.monotonic() - began_s, 1)}


def _served(case: Case, folder: Path) -> dict[str, Any]:
    import torch

    from runner.config.checks import check
    from runner.serving.compile import compile_served
    from runner.serving.numerics import compare, problems
    from runner.serving.served import COMPARED, build_served, calibration_of

    check(case)
    served = build_served(case)
    network = served.model.served().eval()
    inputs = served.inputs()[:COMPARED]
    with torch.inference_mode():
        reference = [tuple(one.clone() for one in network(*each)) for each in inputs]
    compiled = compile_served(_context(case, folder), served, inputs[0], calibration_of(served, case).batches)
    found = compare([compiled.complete(each) for each in inputs], reference, served.model.output_names)
    compiled.close()
    wrong = problems(found, case.precision.least_snr_db)
    broken = sum(one["not_finite"] for one in found.values())
    ratios = [one["snr_db"] for one in found.values() if one["snr_db"] is not None]
    coverage = compiled.made.coverage
    told: dict[str, Any] = {
        "snr_db": round(min(ratios), 1) if ratios else None,
        "exact": all(one.get("exact") for one in found.values()),
        "passed": not wrong and not broken,
        "coverage": None if coverage is None else round(coverage.taken / coverage.total, 4),
        "compile_s": compiled.made.compile_s,
        "evidence": compiled.evidence.detail,
    }
    if wrong or broken:
        told |= {"status": "failed", "class": "GateMissedError", "reason": "; ".join(wrong) or "not finite"}
    return told


def _context(case: Case, folder: Path) -> Any:
    from hardware.device import load_device
    from runner.core.events import EventWriter
    from runner.measure.context import Context

    device = load_device(case.vendor, emulate=False)
    device.connect()
    device.set_matmul(case.precision.matmul)
    events = EventWriter(folder / "rank0.log", rank=0)
    return Context(
        case=case,
        folder=folder,
        rank=0,
        local_rank=0,
        world=1,
        events=events,
        device=device,
        mark=lambda name: time.monotonic(),
    )


def go_through(engine: str, models: list[str], limit_s: int) -> None:
    """In the engine's own process: a line of JSON for each model."""

    def late(*_: object) -> None:
        raise LimitReachedError(f"not done within {limit_s} s")

    signal.signal(signal.SIGALRM, late)
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            signal.alarm(limit_s)
            row = row_of(model, engine, Path(folder))
            signal.alarm(0)
            sys.stdout.write(f"ROW {json.dumps(row)}\n")
            sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    """Every engine in a process of its own; files the rows after each, so that an end loses little."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.served_zoo", description=__doc__)
    made.add_argument("--engines", nargs="+", default=list(ENGINES))
    made.add_argument("--models", nargs="+", default=None)
    made.add_argument("--limit-s", type=int, default=240)
    made.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--out", type=Path, default=RESULTS)
    options = made.parse_args(argv)
    models = options.models or served_models()
    if options.inside:
        go_through(options.engines[0], models, options.limit_s)
        return 0
    record, rows = Record("served_zoo", folder=options.out), []
    for engine in options.engines:
        command = [sys.executable, "-m", "benchmarks.served_zoo", "--inside", "--engines", engine, "--models", *models]
        limit = ["--limit-s", str(options.limit_s)]
        with subprocess.Popen(
            [*command, *limit], cwd=ROOT, env=environment_of_child({}), stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("ROW "):
                    row = json.loads(line[4:])
                    rows.append(row)
                    said = row.get("reason") or f"{row['snr_db']} dB"
                    print(
                        f"{engine:20} {row['model']:22} {row['status']:7} {row['seconds']:6.1f} s  {said[:90]}",
                        flush=True,
                    )
        path = record.file({"rows": rows})
    print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

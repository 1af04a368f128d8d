"""What the framework itself answers, in float32 on the host: made in a process of its own, kept by its content.

`python -m runner.serving.reference RUN_FOLDER FOLDER` makes it: outputs on the batches that are compared, and the
accuracy over the whole evaluation data.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from hardware.child import environment_of_child, python
from hardware.engines.graph import Tensors
from hardware.packages import installed_version
from runner.config.schema import Case, load_case
from runner.core.errors import BY_NAME, TouchstoneError, WorkerCrashedError, classify
from runner.serving.accuracy import Accuracy, evaluate, no_accuracy
from runner.serving.served import (
    COMPARED,
    Served,
    build_served,
    content_of,
    digest_of_sources,
    digest_of_text,
    hash_bytes,
)

OUTPUTS, FACTS, FAILURE = "outputs.safetensors", "reference.json", "failure.json"
PACKAGES = ("torch", "torchvision", "transformers", "timm", "diffusers", "touchstone")


@dataclass(kw_only=True, slots=True)
class Reference:
    """The answers of the framework in float32."""

    outputs: list[Tensors]
    """For each of the compared batches."""
    accuracy: Accuracy | None
    """None where the answers cannot be judged (`no_accuracy`)."""
    made_now: bool


def reference_of(case: Case, run_folder: Path, served: Served) -> Reference:
    """The reference of a case, kept from an earlier run where its weights, inputs and versions are the same.

    Raises:
        TouchstoneError: the process that makes it failed; its own error.
    """
    folder = case.data.cache_path / "reference" / key_of(case, served)
    made_now = not (folder / FACTS).is_file()
    if made_now:
        _make(run_folder, folder)
    return _read(folder, served, made_now)


def make_again(case: Case, run_folder: Path, served: Served) -> Reference:
    """The reference made anew, where the data set is no longer the one it was made from."""
    folder = case.data.cache_path / "reference" / key_of(case, served)
    (folder / FACTS).unlink(missing_ok=True)
    return reference_of(case, run_folder, served)


def key_of(case: Case, served: Served) -> str:
    """Hash of what decides the reference: weights, compared inputs, what is scored, and the libraries' versions."""
    inference, data = case.model.inference, case.data
    inputs = [content_of(one) for batch in served.inputs()[:COMPARED] for one in batch]
    parts = {
        "weights": served.digest,
        "inputs": digest_of_text([hash_bytes(one) for one in inputs]),
        "model": [case.model.implementations[case.framework.name], case.model.architecture],
        "scored": [asdict(inference), data.name, data.root, no_accuracy(case) is None],
        "sources": digest_of_sources(),
        "versions": {name: installed_version(name) for name in PACKAGES},
    }
    return digest_of_text(parts)[:32]


def _make(run_folder: Path, folder: Path) -> None:
    """Run the process to its end; what it prints goes where this one's goes."""
    folder.mkdir(parents=True, exist_ok=True)
    failure = folder / FAILURE
    failure.unlink(missing_ok=True)
    command = python("runner.serving.reference", str(run_folder), str(folder))
    done = subprocess.run(command, env=environment_of_child({}), check=False)
    if failure.is_file():
        told = json.loads(failure.read_text())
        raise BY_NAME.get(told["class"], WorkerCrashedError)(f"The fp32 reference: {told['message']}")
    if done.returncode:
        raise WorkerCrashedError(f"The process of the fp32 reference ended with status {done.returncode}.")


def _read(folder: Path, served: Served, made_now: bool) -> Reference:
    tensors = load_file(folder / OUTPUTS)
    names = served.model.output_names
    count = min(COMPARED, len(served.batches))
    outputs = [tuple(tensors[f"{batch}.{name}"] for name in names) for batch in range(count)]
    told = json.loads((folder / FACTS).read_text())["accuracy"]
    return Reference(outputs=outputs, accuracy=None if told is None else Accuracy(**told), made_now=made_now)


def make(case: Case, folder: Path) -> None:
    """Answer the compared batches and, where they can be judged, all of the evaluation data; write both down."""
    served = build_served(case)
    network, whole = served.compared(), served.model.served().eval()

    @torch.inference_mode()
    def answer(inputs: Tensors) -> Tensors:
        return tuple(whole(*inputs))

    with torch.inference_mode():
        compared = [tuple(network(*inputs)) for inputs in served.inputs()[:COMPARED]]
    accuracy = None if no_accuracy(case) else evaluate(served.model, case, answer)
    named = zip(range(len(compared)), compared, strict=True)
    tensors = {
        f"{batch}.{name}": tensor.clone().contiguous()
        for batch, outputs in named
        for name, tensor in zip(served.model.output_names, outputs, strict=True)
    }
    _write(folder / OUTPUTS, lambda path: save_file(tensors, path))
    facts = json.dumps({"accuracy": None if accuracy is None else asdict(accuracy)})
    _write(folder / FACTS, lambda path: path.write_text(facts))  # last: its presence says that all is there


def _write(path: Path, write: Any) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    write(draft)
    draft.replace(path)


def main(run_folder: Path, folder: Path) -> int:
    """Make the reference of a run's case; a failure is written down for whoever waits."""
    from hardware.precision.float32 import set_cpu_ieee

    try:
        set_cpu_ieee()
        make(load_case(run_folder), folder)
    except Exception as error:  # noqa: BLE001 -- whatever happened is told to the worker
        traceback.print_exc()
        cause: TouchstoneError = classify(error)
        (folder / FAILURE).write_text(json.dumps({"class": type(cause).__name__, "message": str(cause)}))
        return cause.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

"""Every way to get the command line wrong: the exit code, one paragraph, the nearest valid choice, no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runner.cli import run

BAD = {
    "unknown model": (["model=bertt"], 2, "Did you mean bert?"),
    "unknown vendor": (["vendor=nvidea"], 2, "Did you mean nvidia?"),
    "unknown precision": (["precision=bf15"], 2, "Did you mean bf16?"),
    "unknown task": (["task=trian"], 2, "Did you mean train?"),
    "unknown compiler": (["compiler=tensorrt"], 2, "Choices of compiler: eager, inductor"),
    "unknown scale": (["scale=huge"], 2, "Choose reference or tiny"),
    "misspelt key": (["model.batchsize=4"], 2, "Did you mean model.batch_size?"),
    "misspelt root key": (["sed=7"], 2, "Did you mean seed?"),
    "misspelt group": (["precison=fp16"], 2, "Did you mean precision?"),
    "added key": (["+model.batchsize=4"], 2, "Did you mean model.batch_size?"),
    "word for a number": (["model.batch_size=four"], 2, "model.batch_size"),
    "fraction for a count": (["model.batch_size=4.5"], 2, "model.batch_size"),
    "negative batch": (["model.batch_size=-4"], 2, "model.batch_size must be at least 1"),
    "zero repeats": (["measure.repeats=0"], 2, "measure.repeats"),
    "negative seed": (["seed=-1"], 2, "seed"),
    "negative timeout": (["run.timeout_s=-5"], 2, "run.timeout_s"),
    "not a truth value": (["emulate=maybe"], 2, "emulate"),
    "no equals sign": (["model bert"], 2, "key=value"),
    "several values without -m": (["model=bert,gpt2"], 2, "-m"),
    "precision the vendor has not": (["precision=tf32"], 2, "It offers: fp32, fp16, bf16, fp16_true, bf16_true"),
    "a compiler the vendor has not": (["vendor=kunlunxin", "compiler=inductor"], 2, "It offers: eager"),
    "an eps that is zero in float16": (["model=gpt2", "precision=fp16_true"], 2, "model.optimizer.eps=1e-4"),
    "auto devices on a CPU": (["topology=node"], 2, "topology.devices=2"),
    "no devices": (["topology=node", "topology.devices=0"], 2, "at least 1"),
    "two devices on topology=single": (["topology.devices=2"], 2, "Choose topology=node"),
    "too many ranks for the host": (["topology=node", "topology.devices=4096"], 2, "Choose at most"),
    "converging on random data": (["task=converge", "data=synthetic"], 2, "data=sample"),
    "a root without a data set": (["data.root=/tmp"], 2, "no effect"),
    "a data set without a root": (["data=dataset"], 2, "data.root=FOLDER"),
    "a root that is not there": (["data=dataset", "data.root=/nowhere/at/all"], 5, "/nowhere/at/all"),
    "an output folder that cannot be": (["run.root=/dev/null/outputs"], 2, "run.root=FOLDER"),
    "an absent NVIDIA chip": (["vendor=nvidia"], 3, "emulate=true scale=tiny"),
    "an absent Kunlunxin chip": (["vendor=kunlunxin"], 3, "torch_xmlir"),
    "an open run where a closed one is required": (
        ["model.optimizer.lr=9", "fairness.require=closed"],
        2,
        "model.optimizer.lr=9.0 (the reference has",
    ),
    "an unknown requirement": (["fairness.require=open"], 2, "fairness.require"),
    "a sweep with one wrong choice": (["-m", "model=bert,gpt3"], 2, "Did you mean gpt2?"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_command_line_says_what_is_wrong_and_what_to_do(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, code, text = BAD[name]
    fixed = ["tracking=none"] + [f"run.root={tmp_path}"] * (not any("run.root" in one for one in arguments))
    vendor = ["vendor=cpu"] * (not any(one.startswith("vendor=") for one in arguments))
    assert run([*arguments, *fixed, *vendor]) == code
    told = "".join(capfd.readouterr())
    assert text in told
    assert "Traceback" not in told and "hydra.errors" not in told


def test_a_case_that_was_refused_is_still_a_result(tmp_path: Path) -> None:
    assert run(["vendor=nvidia", f"run.root={tmp_path}", "tracking=none"]) == 3
    (report,) = tmp_path.glob("*/*/report.json")
    assert '"HardwareError"' in report.read_text()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "hydra", None)
    assert run(["--help"]) == 4
    assert "package hydra is missing" in capfd.readouterr().err

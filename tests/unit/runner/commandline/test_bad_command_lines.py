"""Every way to get the command line wrong: the exit code, one paragraph, the nearest valid choice, no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from runner.cli import main, run
from runner.commandline.arguments import read_arguments
from runner.commandline.catalogue import choices
from runner.config.checks import check_enough
from runner.config.compose import composing
from runner.config.plan import Planned, plan
from runner.core.errors import ConfigurationError, HardwareError
from runner.core.packages import SHIPPED
from runner.record.report import load_report
from runner.results.find import find_runs
from runner.tools import sync
from runner.tracking import store
from runner.tracking.sweep import finish_sweep

BAD = {
    "unknown model": (["model=bertt"], 2, "Did you mean bert?"),
    "unknown vendor": (["vendor=nvidea"], 2, "Did you mean nvidia?"),
    "unknown precision": (["precision=bf15"], 2, "Did you mean bf16?"),
    "unknown task": (["task=trian"], 2, "Did you mean train?"),
    "unknown compiler": (["compiler=tensorflow"], 2, "Choices of compiler: "),
    "unknown scale": (["scale=huge"], 2, "Choose reference or tiny"),
    "misspelt key": (["model.batchsize=4"], 2, "Did you mean model.train.batch_size?"),
    "misspelt root key": (["sed=7"], 2, "Did you mean seed?"),
    "misspelt group": (["precison=fp16"], 2, "Did you mean precision?"),
    "added key": (["+model.batchsize=4"], 2, "Did you mean model.train.batch_size?"),
    "word for a number": (["model.train.batch_size=four"], 2, "model.train.batch_size"),
    "fraction for a count": (["model.train.batch_size=4.5"], 2, "model.train.batch_size"),
    "negative batch": (["model.train.batch_size=-4"], 2, "model.train.batch_size must be at least 1"),
    "no choice of numbers": (
        ["framework=deepspeed", "framework.zero_stage=4"],
        2,
        "framework.zero_stage must be 0 or 1 or 2 or 3 (given: 4)",
    ),
    "zero repeats": (["measure.repeats=0"], 2, "measure.repeats"),
    "negative seed": (["seed=-1"], 2, "seed"),
    "negative timeout": (["run.timeout_s=-5"], 2, "run.timeout_s"),
    "not a truth value": (["emulate=maybe"], 2, "emulate"),
    "no equals sign": (["model bert"], 2, "key=value"),
    "several values without -m": (["model=bert,gpt2"], 2, "-m"),
    "precision the vendor has not": (["precision=tf32"], 2, "It offers: fp32, fp16, bf16, fp16_true, bf16_true"),
    "a compiler the vendor has not": (["vendor=kunlunxin", "compiler=inductor"], 2, "It offers: eager"),
    "an eps that is zero in float16": (["model=gpt2", "precision=fp16_true"], 2, "model.train.optimizer.eps=1e-4"),
    "auto devices on a CPU": (["topology=node"], 2, "topology.devices=2"),
    "no devices": (["topology=node", "topology.devices=0"], 2, "at least 1"),
    "two devices on topology=single": (["topology.devices=2"], 2, "Choose topology=node"),
    "too many ranks for the host": (["topology=node", "topology.devices=4096"], 2, "Choose at most"),
    "converging on random data": (["task=converge", "data=synthetic"], 2, "data=sample"),
    "skipping where nothing is damaged": (["data.on_error=skip"], 2, "belongs to data=dataset"),
    "a root without a data set": (["data.root=/tmp"], 2, "no effect"),
    "a data set without a root": (["data=dataset"], 2, "data.root=FOLDER"),
    "a root that is not there": (["data=dataset", "data.root=/nowhere/at/all"], 5, "/nowhere/at/all"),
    "an output folder that cannot be": (["run.root=/dev/null/outputs"], 2, "run.root=FOLDER"),
    "an absent NVIDIA chip": (["vendor=nvidia"], 3, "emulate=true scale=tiny"),
    "an absent Kunlunxin chip": (["vendor=kunlunxin"], 3, "torch_xmlir"),
    "an open run where a closed one is required": (
        ["model.train.optimizer.lr=9", "fairness.require=closed"],
        2,
        "model.train.optimizer.lr=9.0 (the reference has",
    ),
    "an unknown requirement": (["fairness.require=open"], 2, "fairness.require"),
    "a sweep with one wrong choice": (["-m", "model=bert,gpt3"], 2, "Did you mean gpt2?"),
    "a sweep with a misspelt key": (["-m", "modle=bert,gpt2"], 2, "Did you mean model?"),
    "a suite without -m": (["suite=flagperf_training"], 2, "python -m runner -m suite=flagperf_training"),
    "an unknown suite": (["-m", "suite=flagperf"], 2, "Did you mean flagperf_training?"),
    "an empty sweep": (["-m", "model=glob(zz*)"], 2, "This sweep is empty: model=glob(zz*)"),
    "a sweep over an interval": (["-m", "seed=interval(1,2)"], 2, "seed=1,2,3"),
    "a flag at the end": (["model=bert,gpt2", "task=inspect", "modle=3", "-m"], 2, "modle is not a key"),
    "a flag that shows and one that runs": (["--cfg", "job", "-m"], 2, "-m runs a sweep and --cfg runs nothing"),
    "dashes before a group": (["--model", "resnet50"], 2, "Write: model=resnet50"),
    "dashes and an equals sign": (["--scale=tiny"], 2, "Write: scale=tiny"),
    "a misspelt flag": (["--hlep"], 2, "Did you mean --help?"),
    "a flag of Hydra's that has no place": (["--config-dir", "/tmp"], 2, "hydra.searchpath"),
    "spaces around the equals sign": (["model", "=", "resnet50"], 2, "Write: model=resnet50"),
    "a space behind the equals sign": (["model=", "resnet50"], 2, "Write: model=resnet50"),
    "a space before the equals sign": (["model", "=resnet50"], 2, "Write: model=resnet50"),
    "spaces inside one word": (["model = resnet50"], 2, "Write: model=resnet50"),
    "a list with a space": (["-m", "precision=fp32,", "bf16"], 2, "'bf16' stands alone"),
    "a list with a space is written": (["-m", "precision=fp32,", "bf16"], 2, "Write: precision=fp32,bf16"),
    "a comma at the end": (["-m", "precision=fp32,"], 2, "Write: precision=fp32"),
    "a choice alone": (["resnet50"], 2, "Write: model=resnet50"),
    "a group and its choice": (["model", "resnet50"], 2, "Write: model=resnet50"),
    "a choice nearly": (["resnt50"], 2, "Did you mean model=resnet50?"),
    "a tool as a word": (["report", "outputs"], 2, "python -m runner.report outputs"),
    "a tool nearly": (["reprot", "outputs"], 2, "python -m runner.report outputs"),
    "letters beyond ASCII": (["data.root=/数据/ü"], 2, "'数' is read only in quotes. Write: 'data.root=\"/数据/ü\"'"),
    "a home folder": (["data.root=~/x"], 2, "Write: 'data.root=\"~/x\"'"),
    "an equals sign in a value": (["tracking.experiment=a=b"], 2, "tracking.experiment: the character '='"),
    "a bracket that does not close": (["tracking.experiment=a("], 2, "it is written: 'tracking.experiment=\"a(\"'"),
    "a number of 5,000 digits": (["seed=" + "1" * 5000], 2, "a number of 5,000 digits is too long"),
    "a value of 5,000 letters": (["model=" + "x" * 5000], 2, "(5,006 characters) does not exist"),
    "no key": (["=bert"], 2, "no spaces around"),
    "a list as a choice": (["model=[bert,gpt2]"], 2, "vendor and model have one choice each"),
    "an unknown choice": (["framework=caffe"], 2, "Choices of framework: deepspeed, jax, megatron, mindspore"),
    "no choice": (["model="], 2, "model= names no choice"),
    "a plus too many": (["+model.train.batch_size=4"], 2, "write model.train.batch_size=VALUE"),
    "a plus before a group": (["+model=gpt2"], 2, "write model=CHOICE"),
    "deleting what is not there": (["~modle"], 2, "Did you mean model?"),
    "the end of a key": (["optimizer.name=adam"], 2, "Did you mean model.train.optimizer.name?"),
    "a word that is nearly one of a list": (["model.train.optimizer.name=adamm"], 2, "Did you mean adam?"),
    "an absent search path": (["hydra.searchpath=[file:///nowhere/at/all]"], 2, "there is no folder /nowhere/at/all"),
    "a launcher": (["hydra/launcher=basic"], 2, "Add -m"),
    "a chip that is not in the catalogue": (
        ["task=inspect", "vendor=nvidia", "vendor.chip=A100-SXM4-80G"],
        2,
        "Did you mean vendor.chip='NVIDIA A100-SXM4-80GB'?",
    ),
    "a class that is no device": (["vendor.device=os.system", "task=inspect"], 2, "not a subclass"),
    "a model's class in no module": (["model.implementations.pytorch=no.such.Model"], 2, "there is no module no."),
    "a model's class misspelt": (
        ["model.implementations.pytorch=models.language.encoders.bert.BertPretrainin"],
        2,
        "Did you mean models.language.encoders.bert.BertPretraining?",
    ),
    "a model's class without a module": (["model.implementations.pytorch=Bert"], 2, "package.module.Class"),
    "a value that refers to itself": (["scale=${scale:1,2}"], 2, "scale refers to itself"),
    "a value that refers to nothing": (["tracking.uri=${sed}"], 2, "sed is not a key of the configuration. Did you"),
    "a variable that is not set": (["run.root=${oc.env:NOT_SET_HERE}"], 2, "run.root: \"Environment variable 'NOT_SET"),
    "an unknown resolver": (["run.root=${foo:1}"], 2, "run.root: Unsupported interpolation type foo"),
    "a search path that is no list": (["hydra.searchpath=foo"], 2, "Write: 'hydra.searchpath=[pkg://foo]'"),
    "a folder that is no list": (["hydra.searchpath=/a"], 2, "Write: 'hydra.searchpath=[file:///a]'"),
    "an empty search path": (['hydra.searchpath=[""]'], 2, "'' names no place"),
    "a search path of another kind": (["hydra.searchpath=[http://a/b]"], 2, "of no known kind. A folder is file:///"),
    "a search path at home": (['hydra.searchpath=["~/a"]'], 2, f"Write: {Path('~/a').expanduser()}"),
    "a list with a tilde": (["hydra.searchpath=[~/a,b]"], 2, 'Write: \'hydra.searchpath=["~/a","b"]\''),
    "help in a sweep": (["-m", "model=bert,gpt2", "-h"], 0, "Usage: python -m runner"),
    "the version": (["--version"], 0, "touchstone "),
    "what --cfg has not": (["--cfg", "jobs"], 2, "--cfg shows job, hydra, all, not 'jobs'"),
    "a package that there is not": (["--cfg", "job", "-p", "modle"], 2, "'modle' not found"),
    "a flag without the one it belongs to": (["--resolve"], 2, "Write: --cfg job --resolve"),
    "completion of nothing": (["--shell-completion"], 2, "install=bash"),
    "a flag of one letter": (["-v"], 2, "There is no flag -v. See"),
    "a number as a choice": (
        ["topology=8"],
        2,
        "topology=8 does not exist. Choices of topology: cluster, node, single.",
    ),
    "a number among choices": (["-m", "topology=single,8"], 2, "Choices of topology: cluster, node, single."),
    "null as a choice": (["model=null"], 2, "model=null does not exist"),
    "capitals in a choice": (["model=BERT"], 2, "Did you mean bert?"),
    "a vendor by its company": (["vendor=huawei"], 2, "Did you mean ascend?"),
    "a vendor by its product": (["vendor=Gaudi"], 2, "Did you mean habana?"),
    "no model": (["~model"], 2, "vendor and model have one choice each"),
    "no tracking": (["~tracking.name"], 2, "tracking.name must be given"),
    "a model that is not trained": (["~model.train"], 2, "has no section train:"),
    "neither key nor value": (["+="], 2, "names no key"),
    "a number as a tuning": (["tuning=8"], 2, "Choices of tuning: VENDOR/MODEL."),
    "weights that are not there": (["model.weights=/nowhere/x.safetensors"], 5, "is not there"),
    "a chip by the beginning of its name": (
        ["task=inspect", "vendor=nvidia", "vendor.chip=H100"],
        2,
        "Did you mean vendor.chip='H100",
    ),
    "an address that is a folder": (["tracking.uri=./mlruns"], 2, "is no address of an MLflow store"),
    "an address without slashes": (["tracking.uri=localhost:5000"], 2, "A server is http://HOST:5000"),
}
EMPTY = ["model.name", "model.unit", "vendor.title", "run.root", "tracking.uri", "tracking.experiment", "data.root"]
RENAMED = {
    "model.batch_size=4": "model.train.batch_size",
    "model.accumulate=2": "model.train.gradient_accumulation_steps",
    "+model.clip_norm=1": "model.train.max_grad_norm",
    "model.budget_samples=5": "model.train.max_train_samples",
    "model.optimizer.lr=1": "model.train.optimizer.lr",
    "model.schedule.warmup_steps=3": "model.train.schedule.warmup",
    "model.schedule.total_steps=3": "model.train.schedule.total",
    "model.quality.targets.mlm_accuracy=0.5": "model.train.quality.targets.mlm_accuracy",
    "model.workloads.pytorch=a.B": "model.implementations.pytorch",
}
"""An override of an earlier version, and what its key is called now."""
RANGES = {
    "model.train.optimizer.lr=nan": "model.train.optimizer.lr must be",
    "model.train.optimizer.lr=-1": "model.train.optimizer.lr must be more than 0",
    "model.train.optimizer.lr=1e400": "model.train.optimizer.lr must be a finite number",
    "model.train.optimizer.lr=true": "model.train.optimizer.lr: a number is needed",
    "model.train.optimizer.weight_decay=-0.1": "model.train.optimizer.weight_decay must be at least 0",
    "model.train.optimizer.betas=[2,3]": "model.train.optimizer.betas.0 must be less than 1",
    "model.train.optimizer.eps=0": "model.train.optimizer.eps must be more than 0",
    "model.train.optimizer.momentum=0.9": "Write: +model.train.optimizer.momentum=VALUE",
    "+model.train.optimizer.momentum=1": "model.train.optimizer.momentum must be less than 1",
    "model.train.max_grad_norm=nan": "model.train.max_grad_norm must be",
    "model.train.schedule.warmup=-1": "model.train.schedule.warmup must be at least 0",
    "model.train.schedule.total=0": "model.train.schedule.total must be more than 0",
    "model.train.quality.samples=0": "model.train.quality.samples must be at least 1",
    "model.train.quality.every_samples=0": "model.train.quality.every_samples must be at least 1",
    "model.train.quality.targets.mlm_accuracy=nan": "model.train.quality.targets.mlm_accuracy must be a finite number",
    "model.train.max_train_samples=0": "model.train.max_train_samples must be at least 1",
    "model.train.batch_size=true": "model.train.batch_size: a number is needed, not true",
    "model.train.gradient_accumulation_steps=1e16": "model.train.gradient_accumulation_steps must be at most",
    "model.architecture.dropout=2": "model.architecture.dropout is a probability",
    "model.architecture.layers=inf": "model.architecture.layers must be a finite number",
    "model.architecture.layers=-1": "model.architecture.layers must be a finite number and not negative",
    "model.architecture.layers=0": "model.architecture.layers=0 is not like the reference's 24",
    "model.architecture.layers=four": "model.architecture.layers='four' is not like the reference's 24",
    "model.architecture.hidden=null": "model.architecture.hidden has no value",
    "data.workers=-1": "data.workers must be at least 0",
    "measure.repeats=1e9": "measure.repeats must be at most 1,000",
    "measure.sampling_period_s=0.001": "measure.sampling_period_s must be at least",
    "measure.window.min_s=900": "min_s=900 is more than max_s=600",
    "measure.window.max_s=inf": "measure.window.max_s must be at most",
    "measure.warmup.blocks=1": "measure.warmup.blocks must be at least 2",
    "measure.warmup.tolerance=nan": "measure.warmup.tolerance must be",
    "+task.segment_s=1": "task.segment_s is a key of other choices of task",
    "tracking.flush_s=1e300": "tracking.flush_s must be at most",
    "run.timeout_s=inf": "run.timeout_s must be at most",
    "run.retries=-1": "run.retries must be at least 0",
    "seed=1e12": "seed must be at most",
    "topology.devices=true": "topology.devices: a number is needed",
    "meters.prometheus_port=70000": "meters.prometheus_port must be at most",
}
"""An override, and what is said of its value."""


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


@pytest.mark.parametrize("key", EMPTY)
def test_an_empty_text_is_refused(key: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = [f"run.root={tmp_path}"] * (key != "run.root")
    assert run([f"{key}=", "vendor=cpu", "tracking=mlflow", *root]) == 2
    assert capfd.readouterr().err == f"Error: {key} is empty. Give it a value, or leave {key}= out.\n"


@pytest.mark.parametrize("override", RENAMED)
def test_a_key_of_an_earlier_version_is_answered_with_its_new_name(
    override: str, capfd: pytest.CaptureFixture[str]
) -> None:
    old = override.lstrip("+").partition("=")[0]
    assert run([override, "vendor=cpu"]) == 2
    assert capfd.readouterr().err == f"Error: {old} is now called {RENAMED[override]}.\n"


def test_a_field_that_no_file_gives_is_proposed_with_a_plus(capfd: pytest.CaptureFixture[str]) -> None:
    key = "model.train.optimizer.momentum"
    assert run([f"{key}=0.1", "vendor=cpu"]) == 2
    assert f"Write: +{key}=VALUE" in capfd.readouterr().err


@pytest.mark.parametrize(
    "uri", ["http://h:5000", "HTTPS://h", "databricks", "sqlite:////a.db", "postgresql+psycopg2://h/a"]
)
def test_addresses_of_stores_are_taken(uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["vendor=nvidia", "tracking=mlflow", f"tracking.uri={uri}", f"run.root={tmp_path}"]
    assert run(words) == 3, "what is refused is the absent chip"


def test_every_tuning_fits_its_model() -> None:
    for path in sorted((SHIPPED / "tuning").glob("*/*.yaml")):
        (one,) = planned([f"vendor={path.parent.name}", f"model={path.stem}"])
        assert one.error is None and one.tuning == f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"x: [", "mine.yaml, line 1: this is no YAML"),
        (b"a: 1\n\tb: 2\n", "mine.yaml, line 2: this is no YAML"),
        (b"\xff\xfe", "mine.yaml: this is no text in UTF-8"),
        (b"- a\n", "model/mine.yaml cannot be put into the case"),
        (b"", "model.unit must be given"),
        (b"unit: ${scale:1}\n", "${scale:REFERENCE,TINY} takes two values, and was given 1"),
        (b"workloads: {pytorch: a.B}\n", "model.workloads is now called model.implementations"),
    ],
)
def test_a_file_of_ones_own_that_is_wrong_is_named(
    text: bytes, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_bytes(text)
    words = ["model=mine", f"hydra.searchpath=[file://{tmp_path}]", "vendor=cpu", f"run.root={tmp_path}"]
    assert run(words) == 2
    told = capfd.readouterr().err
    assert said in told and "Traceback" not in told
    assert run(["--cfg", "job", "--resolve", *words]) in (0, 2), "shown where it can be, and never a traceback"


def test_a_deleted_working_directory_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["model=bert", "vendor=cpu"]) == 2
    assert capfd.readouterr().err == "Error: The working directory was deleted. Change to a folder that is there.\n"
    with pytest.raises(ConfigurationError, match="working directory was deleted"):
        find_runs(Path("outputs"))


def test_an_empty_cache_variable_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_CACHE", "")
    (one,) = planned(["model=bert", "vendor=cpu"])
    assert one.case is not None and one.case.data.cache_path == Path("~/.cache/touchstone").expanduser()


@pytest.mark.parametrize("override", RANGES)
def test_a_value_outside_its_range_is_refused(override: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([override, "model=bert", "vendor=cpu", "tracking=none", f"run.root={tmp_path}"]) == 2
    told = capfd.readouterr().err
    assert RANGES[override] in told and "Traceback" not in told
    assert not list(tmp_path.rglob("worker.log")), "no worker was started"


def test_no_message_repeats_a_password(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    address = "http://somebody:hunter2@host:5000"
    lines = [[f"tracking.uri={address}/x?a=b"], [f"tracking.uri={address}", "seed=-1"], [f"--tracking.uri={address}"]]
    lines += [["-m", f"tracking.uri={address}", "seed=-1,-2", "vendor=cpu"], [f"tracking.uri=[{address}]"]]
    for words in lines:
        assert run([*words, f"run.root={tmp_path}"]) == 2
    told = "".join(capfd.readouterr())
    assert told.count("Error: ") >= len(lines) and "hunter2" not in told and "Error executing job" not in told
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "hunter2" in path.read_text()]


def test_an_invalid_case_of_a_sweep_is_a_recorded_failure_and_the_others_are_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", "model.train.batch_size=2,0,4", "vendor=kunlunxin", "tracking=none", f"run.root={tmp_path}"]
    # The chip is absent, so that no case starts a worker: two are refused with 3, the one of size 0 with 2.
    assert run(words) == 3
    told = capfd.readouterr()
    assert "model.train.batch_size must be at least 1 (given: 0)" in told.err
    reports = [load_report(path) for path in sorted(tmp_path.glob("*/*_sweep/*/report.json"))]
    assert [(one.exit_code, one.case["batch_size"]) for one in reports] == [(3, 2), (2, 0), (3, 4)]
    assert all((path.parent / "run.yaml").exists() for path in tmp_path.glob("*/*_sweep/*/report.json"))
    assert "Sweep: 0 of 3 cases done" in told.out and told.out.count("failed (exit 2, ConfigurationError)") == 1
    assert sync.main([str(tmp_path), "--uri", f"sqlite:///{tmp_path}/m.db"]) == 0


def test_a_sweep_whose_first_case_is_invalid_gets_its_status(tmp_path: Path) -> None:
    assert run(["-m", "seed=-1,5", "vendor=nvidia", "tracking=none", f"run.root={tmp_path}"]) == 3
    (folder,) = tmp_path.glob("*/*_sweep")
    address = f"sqlite:///{tmp_path}/m.db"
    assert sync.main([str(folder), "--uri", address]) == 0
    assert finish_sweep(folder, uri=address), "`sync` leaves a sweep alone whose process, this one, is alive"
    client, experiment = store.connect(address, "touchstone")
    runs = client.search_runs([experiment])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FAILED"], "the sweep and its one valid case"


def test_a_case_that_stands_twice_in_a_sweep_is_said_and_recorded_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", "model=bert,bert", "seed=1,-1", "vendor=nvidia", "tracking=none", f"run.root={tmp_path}"]
    assert run(words) == 3
    told = capfd.readouterr().err
    assert "train_bert_reference_fp32_nvidia stands twice in this sweep" in told
    assert told.count("stands twice") == 2, "the valid case and the invalid one"
    assert len(list(tmp_path.glob("*/*_sweep/*/report.json"))) == 2


def test_two_sweeps_of_one_moment_have_folders_of_their_own(tmp_path: Path) -> None:
    words = ["-m", "seed=-1,-2", "vendor=cpu", "tracking=none", f"hydra.sweep.dir={tmp_path}/same"]
    assert run(words) == 2 and run(words) == 2
    assert len(list(tmp_path.glob("same*/*/report.json"))) == 4


@pytest.mark.parametrize(
    ("override", "folder"),
    [
        ("topology.devices=2", "inspect_gpt2_tiny_fp32_cpu_x2"),
        ("compiler=inductor", "inspect_gpt2_tiny_fp32_cpu_x1_inductor"),
    ],
)
def test_a_folder_is_called_what_its_case_is(tmp_path: Path, override: str, folder: str) -> None:
    fixed = ["task=inspect", "model=gpt2", "scale=tiny", "topology=node", "vendor=cpu", "tracking=none"]
    devices = ["topology.devices=1"] if "devices" not in override else []
    (one,) = planned([*fixed, *devices, override, f"run.root={tmp_path}"])
    assert one.case is not None and one.case.name == folder
    assert one.folder().name.endswith(f"_{folder}") and one.name_in_sweep(3) == f"3_{folder}"


def planned(words: list[str]) -> list[Planned]:
    with composing():
        return plan(read_arguments(words))


def test_lists_are_a_product_and_the_last_changes_fastest() -> None:
    found = planned(["-m", "seed=1,2", "model=bert", "precision=fp32,bf16", "vendor=cpu"])
    cases = [one.case for one in found]
    assert [(one.seed, one.precision.name) for one in cases if one] == [
        (1, "fp32"),
        (1, "bf16"),
        (2, "fp32"),
        (2, "bf16"),
    ]


def test_a_case_can_be_shown_resolved_for_every_model(capfd: pytest.CaptureFixture[str]) -> None:
    for model in choices("model"):
        assert run(["--cfg", "job", "--resolve", f"model={model}", "vendor=cpu", "scale=tiny"]) == 0
        shown = yaml.safe_load(capfd.readouterr().out)
        assert shown["model"]["name"] == model and "${scale" not in str(shown)


def test_a_data_set_of_another_layout_is_refused_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data" / "train" / "n01440764").mkdir(parents=True)
    words = ["model=resnet50", "data=dataset", f"data.root={tmp_path}/data", "vendor=cpu", "tracking=none"]
    assert run([*words, f"run.root={tmp_path}/outputs"]) == 5
    told = capfd.readouterr()
    assert "lacks val/*." in told.err and told.out == "", "a paragraph and no table"
    (report,) = tmp_path.glob("outputs/*/*/report.json")
    assert '"DataMissingError"' in report.read_text()


def test_more_devices_than_are_visible_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [Path("/dev/nvidia0"), Path("/dev/nvidia1")]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("runner.config.checks.device_nodes", lambda vendor: nodes)
    monkeypatch.setattr("hardware.detect.device_nodes", lambda vendor, root: nodes)
    for devices, variable, refused in ((2, None, False), (3, None, True), (2, "0", True), (1, "0", False)):
        (one,) = planned(["vendor=nvidia", "topology=node", f"topology.devices={devices}"])
        assert one.case is not None
        if variable is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
        if refused:
            with pytest.raises(HardwareError, match=f"topology.devices={devices}, but"):
                check_enough(one.case)
        else:
            check_enough(one.case)


def test_a_wrong_command_of_touchstone_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for words, said in ((["reprot"], "Did you mean touchstone report?"), (["model=bert"], "touchstone run model=bert")):
        monkeypatch.setattr(sys, "argv", ["touchstone", *words])
        assert main() == 2
        assert said in capfd.readouterr().err


def test_the_nearest_folder_has_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for path, folder in (("../zzz/x", tmp_path), ("zzz", tmp_path / "below")):
        with pytest.raises(ConfigurationError, match=f"The nearest folder there is: {folder}\\."):
            find_runs(Path(path))


def test_no_report_holds_a_number_that_json_has_not(tmp_path: Path) -> None:
    assert run(["vendor=nvidia", f"run.root={tmp_path}", "tracking=none"]) == 3
    (path,) = tmp_path.glob("*/*/report.json")
    report = load_report(path)
    report.case["seed"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.save(path)


def test_a_case_that_was_refused_is_still_a_result(tmp_path: Path) -> None:
    assert run(["vendor=nvidia", f"run.root={tmp_path}", "tracking=none"]) == 3
    (report,) = tmp_path.glob("*/*/report.json")
    assert '"HardwareError"' in report.read_text()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "hydra", None)
    assert run(["--help"]) == 4
    assert "package hydra is missing" in capfd.readouterr().err

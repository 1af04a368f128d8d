"""The launcher of a sweep on the command line: one for all cases, known, installed, and no part of any case."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from runner.cli import run
from runner.commandline import launcher
from runner.commandline.arguments import read_arguments
from runner.config.compose import composing
from runner.config.plan import plan
from runner.core.errors import ConfigurationError, DependencyError

SLURM = "hydra/launcher=submitit_slurm"
CASES = ["-m", "task=inspect", "model=bert,gpt2", "scale=tiny"]


def test_words_about_the_launcher_are_no_part_of_a_case() -> None:
    found = read_arguments([*CASES, SLURM, "hydra.launcher.nodes=2", "+hydra.launcher.additional_parameters.mail=a"])
    assert found.overrides == CASES[1:]
    assert len(found.parsed) == 3
    assert found.launcher == [SLURM, "hydra.launcher.nodes=2", "+hydra.launcher.additional_parameters.mail=a"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*CASES, "hydra/launcher=joblib,ray"], "hydra/launcher takes one value. A sweep has one launcher"),
        ([*CASES, SLURM, "hydra.launcher.timeout_min=1,2"], "hydra.launcher.timeout_min takes one value"),
        (["model=bert", SLURM], "a launcher starts the cases of a sweep. Add -m"),
        ([*CASES, "hydra.launcher.timeout_min=1"], "has no effect without a launcher"),
        ([*CASES, "hydra/launcher=ray_aws"], "sweeps run through basic, submitit_slurm, submitit_local, joblib, ray"),
        ([*CASES, "hydra/sweeper=basic"], "has no effect"),
    ],
)
def test_a_launcher_that_cannot_be_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read_arguments(words)


def test_basic_is_what_there_is_without_one() -> None:
    assert launcher.launcher_name(read_arguments([*CASES, "hydra/launcher=basic"]).launcher) == "basic"
    assert launcher.launcher_name(["hydra/launcher=basic", SLURM]) == "submitit_slurm", "the last one counts"


@pytest.mark.parametrize(
    ("name", "extra"),
    [("submitit_slurm", "sweeps"), ("submitit_local", "sweeps"), ("joblib", "sweeps"), ("ray", "ray")],
)
def test_a_launcher_that_is_not_installed_names_what_installs_it(
    name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec

    def absent(module: str) -> Any:
        return None if module.startswith("hydra_plugins.") else there(module)

    monkeypatch.setattr(launcher, "find_spec", absent)
    with pytest.raises(DependencyError, match=rf"pip install 'touchstone\[{extra}\]'"):
        read_arguments([*CASES, f"hydra/launcher={name}"])


def test_every_case_knows_its_launcher_and_is_composed_without_it() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = [*CASES, SLURM, "hydra.launcher.timeout_min=7", "hydra.launcher.comment=${model.name}_is_not_yet_known"]
    with composing(), pytest.raises(ConfigurationError, match=r"hydra\.launcher\.comment is bert_.* and gpt2_"):
        plan(read_arguments(words), ["vendor=cpu"])
    with composing():
        plans = plan(read_arguments([*words[:-1], "hydra.launcher.cpus_per_task=${topology.devices}"]), ["vendor=cpu"])
        alone = plan(read_arguments(CASES), ["vendor=cpu"])
    assert [one.launcher["timeout_min"] for one in plans] == [7, 7]
    assert [one.launcher["cpus_per_task"] for one in plans] == [1, 1]
    assert plans[0].launcher["submitit_folder"] == "${hydra.sweep.dir}/.submitit/%j", "only the sweep knows its folder"
    assert not any("launcher" in word for one in plans for word in one.overrides)
    assert [one.case.identity for one in plans if one.case] == [one.case.identity for one in alone if one.case]


def test_a_launcher_in_a_swept_group_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra takes the first case's, or none, without a word."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "measure").mkdir(parents=True)
    (tmp_path / "conf" / "measure" / "far.yaml").write_text(
        "# @package _global_\ndefaults: [/measure/smoke@measure, override /hydra/launcher: submitit_local]\n"
    )
    path = f"hydra.searchpath=[file://{tmp_path}/conf]"
    words = ["-m", "task=inspect", "model=bert", "vendor=cpu", "measure=smoke,far", path, f"run.root={tmp_path}/out"]
    assert run(words) == 2
    assert "names a launcher of Hydra's in its own files" in capsys.readouterr().err
    assert run([*words, SLURM]) == 2
    assert "names a launcher of Hydra's in its own files" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("word", "told"), [("hydra.launcher.nodez=2", "nodez"), ("hydra.launcher.nodes=x", "nodes")])
def test_a_wrong_setting_is_named(word: str, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    assert run([*CASES, "vendor=cpu", SLURM, word, f"run.root={tmp_path}/out"]) == 2
    assert told in capsys.readouterr().err

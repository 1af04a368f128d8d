"""Ranks run in the interpreter that the case names, else in their framework's own environment, else in this one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from case_samples import make_case

from hardware.child import environment_of_child, python
from runner.config.checks import check
from runner.config.known import check_workable, workable
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, DependencyError
from runner.frameworks.asked import answers
from runner.frameworks.lightning.pytorch import Pytorch
from runner.frameworks.zero.deepspeed import Deepspeed
from runner.interpreters import ask, choose
from runner.interpreters.ask import answer_of
from runner.interpreters.choose import environment_name, environment_of, how_to_make, interpreter_of
from runner.interpreters.distributions import distributions_of
from runner.launch import processes
from runner.launch.processes import can_fork, start_worker

CASE = make_case()


def with_python(path: Path | str | None, case: Case = CASE) -> Case:
    return replace(case, framework=replace(case.framework, python=None if path is None else str(path)))


def other_python(folder: Path, *, before: str = "") -> Path:
    """An interpreter of another environment: a script that starts this one, with `before` in its way."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "python"
    path.write_text(f'#!/bin/sh\n{before}\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def test_a_framework_with_an_environment_beside_the_project_runs_in_it(tmp_path: Path) -> None:
    assert interpreter_of(CASE, tmp_path) is None
    own = other_python(environment_of("pytorch", tmp_path) / "bin")
    assert own == tmp_path / ".venv-pytorch" / "bin" / "python"
    assert interpreter_of(CASE, tmp_path) == own
    named = other_python(tmp_path / "elsewhere" / "bin")
    assert interpreter_of(with_python(named), tmp_path) == named
    assert interpreter_of(make_case("inspect"), tmp_path) is None, "nothing of the framework is used"
    assert interpreter_of(with_python(sys.executable), tmp_path) is None, "it is this one"


def test_an_environments_interpreter_is_not_the_one_it_links_to(tmp_path: Path) -> None:
    link = tmp_path / "bin" / "python"
    link.parent.mkdir()
    link.symlink_to(Path(sys.executable).resolve())
    assert interpreter_of(with_python(link), tmp_path / "none") == link


def test_a_relative_path_is_one_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = other_python(tmp_path / "env" / "bin")
    monkeypatch.chdir(tmp_path)
    assert interpreter_of(with_python("env/bin/python")) == named


def test_where_a_case_runs_decides_nothing_about_its_result() -> None:
    other = with_python("/somewhere/bin/python")
    assert other.identity == CASE.identity
    assert other.to_dict()["framework"]["python"] == "/somewhere/bin/python"
    assert "python" not in other.deciding()["framework"]


def test_the_other_interpreter_is_asked_and_not_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pytorch, "unavailable_reason", staticmethod(lambda: "it is not here"))
    with pytest.raises(DependencyError, match=r"framework=pytorch cannot be used here: it is not here\."):
        check_workable(CASE)
    case = with_python(other_python(tmp_path / "env" / "bin"))
    check_workable(case)
    answer = answer_of(case)
    assert answer is not None and answer.environment == str(tmp_path / "env")
    assert (answer.framework, answer.compiler, answer.device) == (None, None, None)


def test_what_is_missing_there_is_said_with_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lacking = ask.InterpreterAnswer(
        environment=".venv-jax", framework="no jax", compiler=None, device=None, packages={}
    )
    monkeypatch.setattr("runner.config.known.answer_of", lambda case: lacking)
    with pytest.raises(DependencyError, match=r"framework=pytorch cannot be used in \.venv-jax: no jax\.$"):
        check_workable(CASE)
    without_gcc = replace(lacking, framework=None, compiler="no gcc")
    monkeypatch.setattr("runner.config.known.answer_of", lambda case: without_gcc)
    with pytest.raises(DependencyError, match=r"compiler=eager cannot be used in \.venv-jax: no gcc\."):
        check_workable(CASE)


def test_the_way_to_an_environment_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    case, way = replace(CASE, framework=replace(CASE.framework, name="jax")), "make environment FRAMEWORK=jax"
    for reason in ("jax is not installed", f"jax is not installed: {way}"):
        lacking = ask.InterpreterAnswer(environment=".venv", framework=reason, compiler=None, device=None, packages={})
        monkeypatch.setattr("runner.config.known.answer_of", lambda case, lacking=lacking: lacking)
        with pytest.raises(DependencyError) as refused:
            check_workable(case)
        assert str(refused.value).count(way) == 1


def test_the_way_to_an_environment_is_named_where_there_is_a_lock(tmp_path: Path) -> None:
    assert how_to_make("jax").endswith("make environment FRAMEWORK=jax.")
    assert how_to_make("pytorch") == "" and how_to_make("jax", tmp_path) == ""


@pytest.mark.parametrize("path", ["/bin/true", "/bin/cat", "/no/such/python", "/tmp"])
def test_a_path_that_is_no_interpreter_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"framework.python={path} is no interpreter of Python 3.11 or newer"):
        check(with_python(path))


def test_an_environment_without_the_engines_own_packages_is_refused(tmp_path: Path) -> None:
    bare = other_python(tmp_path / "bin", before='set -- -S "$@"')
    with pytest.raises(DependencyError, match=r"engine cannot be started .* No module named .* FRAMEWORK=pytorch"):
        check(with_python(bare))


def test_sweeps_ask_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    named = other_python(tmp_path / "bin", before=f"echo started >> {count}")
    for seed in (1, 2, 3):
        assert answer_of(replace(with_python(named), seed=seed)) is not None
    assert count.read_text().split() == ["started"]


@pytest.mark.parametrize(("framework", "forks"), [("pytorch", True), ("deepspeed", True), ("jax", False)])
def test_only_what_is_pytorch_in_this_interpreter_is_forked(
    framework: str, forks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "ROOT", tmp_path)
    monkeypatch.setattr(choose.interpreter_of, "__defaults__", (tmp_path,))
    case = make_case(framework={"name": framework})
    assert can_fork(case) is forks
    assert not can_fork(with_python(other_python(tmp_path / "bin"), case))


def test_worker_and_torchrun_start_in_the_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(processes, "Spawned", lambda command, environment, log: started.append(command))
    monkeypatch.setattr(processes, "Forked", lambda *_: pytest.fail("it has another interpreter"))
    case = with_python(other_python(tmp_path / "bin"))
    named = str(tmp_path / "bin" / "python")
    start_worker(case, tmp_path, {}, forked=True)
    start_worker(replace(case, topology=replace(case.topology, name="node", devices=2)), tmp_path, {}, forked=True)
    one, several = started
    assert one == [named, "-P", "-m", "runner.worker.main", str(tmp_path)]
    assert several[0] == named and several.count(named) == 2 and sys.executable not in several
    start_worker(CASE, tmp_path, {}, forked=False)
    assert started[-1][0] == sys.executable


def test_a_worker_that_is_asked_tells_versions_of_its_framework_alone() -> None:
    values: dict[str, Any] = CASE.to_dict()
    question = {name: values[name] for name in ("compiler", "vendor", "emulate")} | {"has_model": True}
    told = answers({**question, "framework": "deepspeed"})
    assert set(told) == {"framework", "compiler", "device", "packages"}
    assert set(told["packages"]) <= {"deepspeed"}
    assert distributions_of("pytorch") == () and "jaxlib" in distributions_of()


def test_environments_are_called_by_their_folder_beside_the_project(tmp_path: Path) -> None:
    assert environment_name(str(tmp_path / ".venv-jax"), tmp_path) == ".venv-jax"
    assert environment_name("/opt/conda", tmp_path) == "/opt/conda"


def test_the_parent_imports_no_framework() -> None:
    program = (
        "import json, sys; from runner.config.known import workable; found = workable(); "
        "heavy = ('jax', 'paddle', 'tensorflow', 'keras', 'mindspore', 'megatron.core', 'torch'); "
        "print(json.dumps([[name for name in heavy if name in sys.modules], list(found)]))"
    )
    command = [*python("runner")[:2], "-c", program]
    done = subprocess.run(command, env=environment_of_child({}), capture_output=True, text=True, check=True)
    imported, frameworks = json.loads(done.stdout)
    assert imported == []
    assert {"framework=jax", "framework=paddle", "framework=pytorch"} <= set(frameworks)


def test_the_doctor_looks_into_a_frameworks_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = other_python(tmp_path / ".venv-deepspeed" / "bin")
    monkeypatch.setattr(ask, "own_interpreter", lambda name: named if name == "deepspeed" else None)
    monkeypatch.setattr(Deepspeed, "unavailable_reason", staticmethod(lambda: "it is not here"))
    assert workable()["framework=deepspeed"] is None
    other_python(named.parent, before="echo broken >&2; exit 3")
    ask._answer.cache_clear()
    found = workable()
    assert "is no interpreter of Python 3.11 or newer: broken" in str(found["framework=deepspeed"])
    assert found["framework=pytorch"] is None

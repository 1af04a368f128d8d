"""Whose a run folder is: one process's, from before its first file until it ends, whatever the clock says."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from case_samples import make_case

from runner.config.schema import load_case
from runner.core import lock
from runner.core.errors import ConfigurationError
from runner.core.lock import OwnedError, let_go, take
from runner.core.owner import parent_state, write_parent
from runner.launch.folder import claim, claim_sweep, find_earlier, make_own
from runner.launch.submit import _continue
from runner.measure.context import PARENT_VARIABLE
from runner.worker import main as worker

OWNER = """
import sys
from pathlib import Path
from runner.core.owner import write_parent
write_parent(Path(sys.argv[1]))
print("owned", flush=True)
sys.stdin.read()
"""


def other_owner(folder: Path) -> subprocess.Popen[str]:
    """A process that owns the folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "owned\n"
    return process


def test_two_runs_that_want_the_same_name_get_two_folders(tmp_path: Path) -> None:
    first, second = (claim(make_case(seed=seed), tmp_path / "run") for seed in (1, 2))
    assert [first, second] == [tmp_path / "run", tmp_path / "run_2"]
    assert [load_case(folder).seed for folder in (first, second)] == [1, 2]


def test_a_folder_that_another_process_is_just_claiming_is_left_to_it(tmp_path: Path) -> None:
    """It owns the folder and has not written `run.yaml` yet."""
    other = other_owner(tmp_path / "run")
    assert claim(make_case(), tmp_path / "run") == tmp_path / "run_2"
    assert not (tmp_path / "run" / "run.yaml").exists()
    other.communicate()


def test_run_yaml_is_won_before_anybody_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that loses the name must not sign the winner's folder."""

    def lose(*_: object) -> None:
        raise FileExistsError

    with monkeypatch.context() as patch:
        patch.setattr(
            "runner.launch.folder.Case.save", lambda self, path: lose() if path.parent.name == "run" else None
        )
        assert claim(make_case(), tmp_path / "run") == tmp_path / "run_2"
    assert not (tmp_path / "run" / "parent.pid").exists()
    assert parent_state(tmp_path / "run") == "gone", "nor keep its lock"


def test_two_sweeps_that_want_the_same_name_get_two_folders(tmp_path: Path) -> None:
    wanted = tmp_path / "day" / "12-00-00_sweep"
    assert [claim_sweep(wanted), claim_sweep(wanted)] == [wanted, tmp_path / "day" / "12-00-00_sweep_2"]


def test_a_clock_that_is_set_changes_no_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = other_owner(tmp_path)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 3600.0)
    assert parent_state(tmp_path) == "alive"
    other.communicate()
    assert parent_state(tmp_path) == "gone"


def test_a_run_that_goes_on_is_not_resumed(tmp_path: Path) -> None:
    case = make_case("converge")
    folder = claim(case, tmp_path / "run")
    (folder / "events").mkdir()
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    let_go(folder)
    other = other_owner(folder)
    assert find_earlier(case, tmp_path) is None
    with pytest.raises(ConfigurationError, match="just taken up by another process"):
        _continue(folder)
    other.communicate()
    assert find_earlier(case, tmp_path) == folder
    _continue(folder)
    assert parent_state(folder) == "alive"


def test_a_lock_has_one_owner_and_can_be_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "ASKING_S", 0.0)
    take(tmp_path)
    with pytest.raises(OwnedError):
        take(tmp_path)
    let_go(tmp_path)
    let_go(tmp_path)
    take(tmp_path)
    let_go(tmp_path)


def test_a_worker_ends_with_a_parent_that_nobody_collects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent stays a zombie: its number is taken, its lock is free."""
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    parent = other_owner(tmp_path)
    monkeypatch.setenv(PARENT_VARIABLE, str(parent.pid))
    monkeypatch.setattr(os, "_exit", end)
    worker.end_with_parent(tmp_path)
    assert not ended.wait(0.3), "it is alive"
    assert parent.stdin is not None
    parent.stdin.close()
    assert ended.wait(30) and codes == [10]
    assert parent.returncode is None and psutil.pid_exists(parent.pid), "nobody has collected it"
    parent.wait()


def test_an_owner_names_itself_for_people(tmp_path: Path) -> None:
    write_parent(tmp_path)
    assert (tmp_path / "parent.pid").read_text().split()[0] == str(os.getpid())
    let_go(tmp_path)


@pytest.mark.parametrize("make", [lambda wanted: claim(make_case(), wanted), claim_sweep, make_own])
def test_a_link_to_nowhere_is_no_place_for_a_run(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    (tmp_path / "outputs").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="link to nowhere"):
        make(tmp_path / "outputs" / "run")


def test_a_job_that_slurm_queued_again_elsewhere_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parent.pid").write_text("12 another-host slurm:77\n")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert parent_state(tmp_path) == "elsewhere"
    monkeypatch.setenv("SLURM_JOB_ID", "78")
    assert parent_state(tmp_path) == "elsewhere"
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert parent_state(tmp_path) == "gone"

"""The local store: whole or not there, whatever its path is called and whenever its maker is killed."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tracking_samples import all_runs, client_of, fresh_database, make_report, make_run

from runner.config.schema import Tracking
from runner.tools.sync import main
from runner.tracking import Tracker, Uploader, local, store, tracker
from runner.tracking.cursor import load_cursor
from runner.tracking.local import StoreUnusableError


@pytest.fixture
def root(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), folder / "mlflow.db")
    return folder


def revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return str(database.execute("select version_num from alembic_version").fetchone()[0])


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def oldest_revision() -> str:
    (base,) = local._scripts().get_bases()
    return str(base)


# --- made in one step ------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for the end of the process, or of the wait for the thread."""


def test_a_store_whose_making_was_cut_off_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mlflow.db"

    def half(draft: Path) -> Any:
        change(draft, "create table experiments (x)")
        draft.with_name(f"{draft.name}-journal").write_bytes(b"torn")
        monkeypatch.setattr(Path, "unlink", lambda *arguments, **named: None)  # nothing is tidied up by the dead
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(local, "open_client", half)
        with pytest.raises(Killed):
            store.make_ready(local.address(path))
        assert not path.exists()
    monkeypatch.undo()
    assert len(list(tmp_path.glob("*.draft*"))) == 2
    store.make_ready(local.address(path))
    assert revision(path) in local._scripts().get_heads()
    assert not list(tmp_path.glob("*.draft*"))


def test_a_half_made_store_is_named_with_the_way_out(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All tables are there, the revision is the first one: the next migration finds its work done and fails."""
    path = root / "mlflow.db"
    change(path, f"update alembic_version set version_num = '{oldest_revision()}'")
    before = path.read_bytes()
    for name in ("a", "b"):
        make_report(make_run(root, name=name))
    monkeypatch.chdir(root.parent)
    assert main([]) == 1
    told = capsys.readouterr().out
    assert told.count("half made") == 2 and f"mv {path} {path}.broken" in told and "Traceback" not in told
    assert "Start the server" not in told
    assert path.read_bytes() == before, "only the copy was touched"
    path.rename(f"{path}.broken")
    assert main([]) == 0, "the way out leads out"
    assert len(all_runs(root)) == 2


def test_the_way_out_files_anew_what_the_broken_store_held(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(root)
    make_report(folder)
    monkeypatch.chdir(root.parent)
    assert main([]) == 0
    path = root / "mlflow.db"
    path.rename(f"{path}.broken")
    assert main([]) == 0
    assert len(all_runs(root)) == 1


def test_a_file_that_is_no_database(root: Path) -> None:
    (root / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreUnusableError, match=r"mlflow\.db is damaged .*mv "):
        store.make_ready(local.address(root / "mlflow.db"))


def test_an_empty_file_is_no_store_yet(root: Path) -> None:
    (root / "mlflow.db").write_bytes(b"")
    store.make_ready(local.address(root / "mlflow.db"))
    assert revision(root / "mlflow.db") in local._scripts().get_heads()


def test_a_store_of_a_newer_mlflow(root: Path) -> None:
    change(root / "mlflow.db", "update alembic_version set version_num = 'ffffffffffff'")
    with pytest.raises(StoreUnusableError, match="newer MLflow"):
        store.make_ready(local.address(root / "mlflow.db"))


def older(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `path` look like an older MLflow's, and migrating it do what MLflow's last migration would."""
    head = revision(path)
    change(path, f"update alembic_version set version_num = '{oldest_revision()}'")
    monkeypatch.setattr(
        local, "_migrate", lambda draft: change(draft, f"update alembic_version set version_num = '{head}'")
    )


def test_an_older_store_is_brought_up_to_date_under_an_open_connection(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "mlflow.db"
    with Uploader(make_run(root)) as uploader:
        uploader.flush()
    older(path, monkeypatch)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("select count(*) from runs").fetchone() == (1,)
        store.make_ready(local.address(path))
        assert other.execute("select version_num from alembic_version").fetchone()[0] != oldest_revision()
        assert other.execute("select count(*) from runs").fetchone() == (1,)


def test_what_others_file_during_a_migration_is_not_lost(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "mlflow.db"
    older(path, monkeypatch)
    migrate = local._migrate

    def disturbed(draft: Path) -> None:
        migrate(draft)
        change(path, "insert into experiments (experiment_id, name, lifecycle_stage) values (77, 'theirs', 'active')")

    monkeypatch.setattr(local, "_migrate", disturbed)
    with pytest.raises(StoreUnusableError, match="written to"):
        store.make_ready(local.address(path))
    assert revision(path) == oldest_revision()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("select name from experiments where experiment_id = 77").fetchone() == ("theirs",)


# --- a store that takes its time ---------------------------------------------------------------------------------


def test_a_run_waits_for_the_first_migration_and_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables are made only after the run has said that it waits: without the wait nothing is filed."""
    monkeypatch.setattr(tracker, "PATIENCE_S", 0.0)
    said, told = threading.Event(), []
    make_ready = store.make_ready

    def slow(uri: str) -> None:
        assert said.wait(60)
        make_ready(uri)

    def say(text: str) -> None:
        told.append(text)
        said.set()

    monkeypatch.setattr(store, "make_ready", slow)
    folder = make_run(root)
    follower = Tracker(folder, Tracking(name="mlflow"), grace_s=0.0, say=say)
    follower.start()
    assert follower.finish(make_report(folder)) is None
    assert len(told) == 1 and f"python -m runner.sync {folder}" in told[0]
    assert [run.info.status for run in all_runs(root)] == ["FINISHED"]


def test_a_run_that_does_not_wait_says_nothing(root: Path) -> None:
    told: list[str] = []
    folder = make_run(root)
    follower = Tracker(folder, Tracking(name="mlflow"), say=told.append)
    follower.start()
    assert follower._ready.wait(60)
    assert follower.finish(make_report(folder)) is None
    assert told == []


# --- the trash ---------------------------------------------------------------------------------------------------


def test_an_experiment_in_the_trash_is_restored_or_avoided(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root.parent)
    first = make_run(root, name="first")
    make_report(first)
    assert main([]) == 0
    number = client_of(root).get_experiment_by_name("touchstone").experiment_id
    client_of(root).delete_experiment(number)
    folder = make_run(root, name="second")
    follower = Tracker(folder, Tracking(name="mlflow"))
    follower.start()
    warning = str(follower.finish(make_report(folder)))
    advice = f"MLFLOW_TRACKING_URI=sqlite:///{root}/mlflow.db mlflow experiments restore --experiment-id {number}"
    assert advice in warning and "tracking.experiment=NAME" in warning
    capsys.readouterr()
    assert main([str(folder)]) == 1
    told = capsys.readouterr().out
    assert advice in told and "Start the server" not in told
    client_of(root).restore_experiment(number)
    assert main([str(folder)]) == 0
    assert len(all_runs(root)) == 2


# --- any path ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["it's", "what?", "a#b", "100%", "50%25", "two words", "数据 ü", "a&b=c;d@e:f"])
def test_a_store_lies_where_it_says_whatever_the_folder_is_called(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    base = tmp_path / name
    root = base / "outputs"
    root.mkdir(parents=True)
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), root / "mlflow.db")
    folder = make_run(root)
    (folder / "report.json").unlink(missing_ok=True)
    with Uploader(folder) as uploader:
        uploader.finish(make_report(folder))
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        assert database.execute("select status from runs").fetchall() == [("FINISHED",)]
    assert (next((root / "mlartifacts").glob("*/artifacts")) / "report.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing was made beside it"
    assert sorted(path.name for path in base.iterdir()) == ["outputs"]
    cursor = load_cursor(folder)
    assert cursor is not None and local.path_of(str(cursor.uri)) == root.resolve() / "mlflow.db"


def test_a_plain_path_is_not_quoted() -> None:
    assert local.address(Path("/data/my runs/mlflow.db")) == "sqlite:////data/my runs/mlflow.db"
    assert local.path_of("http://server:5000") is None
    with pytest.raises(StoreUnusableError, match="names no file"):
        local.path_of("sqlite:///:memory:")

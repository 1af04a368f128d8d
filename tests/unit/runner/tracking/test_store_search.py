"""Searching the local store agrees with MLflow's own search, and finds each run's report."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tracking_samples import client_of, fresh_database, make_report, make_run

from runner.core.errors import ConfigurationError
from runner.tracking import Uploader, search
from runner.tracking.found.local_store import find_local
from runner.tracking.found.parse import parse
from runner.tracking.found.remote_store import find_remote
from runner.tracking.found.stored_run import PLACE_TAG

RUNS: dict[str, tuple[tuple[str, ...], float]] = {
    "a": (("task=train", "model=bert", "precision=fp32"), 10.0),
    "b": (("task=train", "model=bert", "precision=bf16"), 20.0),
    "c": (("task=train", "model=resnet50", "precision=bf16", "seed=7"), 30.0),
    "d": (("task=train", "model=resnet50", "vendor=nvidia", "precision=bf16", "emulate=true"), 40.0),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "my outputs #1"
    folder.mkdir()
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), folder / "mlflow.db")
    for name, (overrides, speed) in RUNS.items():
        run = make_run(folder, *overrides, name=name, steps=1)
        with Uploader(run) as uploader:
            uploader.finish(make_report(run, speed=speed))
    return folder


def found(root: Path, text: str, **options: Any) -> set[str]:
    return {folder.name for folder, _ in search.search(text, uri=None, root=root, **options)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "abcd"),
        ("model=bert", "ab"),
        ("model=bert and precision=bf16", "b"),
        ("throughput/steady > 10", "bcd"),
        ("throughput/steady >= 10 and throughput/steady < 40 and precision != fp32", "bc"),
        ("seed=7", "c"),
        ("emulated=true", "d"),
        ("emulated=false and precision=bf16", "bc"),
        ("model like res%", "cd"),
        ("model like RES%", ""),
        ("model ilike RES%", "cd"),
        ("model like be_t", "ab"),
        ("name like EMULATED%", "d"),
        ("chip != nothing", "abcd"),
        ("energy/device_j > 0", ""),
        ("status=done", "abcd"),
        ("attributes.status = 'FAILED'", ""),
        ("model.train.batch_size != 1 and task=train", "abcd"),
        ("start_time > 2023-01-01 and start_time < 2024-01-01", "abcd"),
        ("start_time > 2024-01-01", ""),
    ],
)
def test_both_ways_to_ask_give_the_same_answer(root: Path, text: str, names: str) -> None:
    uri = f"sqlite:///{root / 'mlflow.db'}"
    assert found(root, text) == set(names)
    assert {run.folder for run in find_remote(uri, parse(text), limit=10)} == set(names)


def test_the_reports_are_those_of_the_folders(root: Path) -> None:
    ((folder, report),) = search.search("seed=7", uri=None, root=root)
    assert folder == root / "2026-01-02" / "c"
    assert report.figures["throughput/steady"].value == 30.0


def test_a_limit_and_an_address(root: Path) -> None:
    assert len(found(root, "", limit=3)) == 3
    named = search.search("seed=7", uri=f"sqlite:///{root / 'mlflow.db'}", root=root)
    assert [folder.name for folder, _ in named] == ["c"]


def test_mlflow_is_not_imported(root: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from runner.tracking.search import search; "
        f"assert len(search('model=bert', uri=None, root=Path({str(root)!r}))) == 2; "
        "assert not {'mlflow', 'torch', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_run_whose_folder_is_elsewhere_is_read_as_it_was_filed(root: Path, tmp_path: Path) -> None:
    ((folder, report),) = search.search("seed=7", uri=f"sqlite:///{root / 'mlflow.db'}", root=tmp_path)
    assert folder.name == "c" and not folder.is_relative_to(root)
    assert report.figures["throughput/steady"].value == 30.0


def test_a_folder_of_the_same_place_that_is_another_run_is_not_taken(root: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path, "task=train", name="c", steps=1)
    make_report(other, speed=1.0)
    ((folder, report),) = search.search("seed=7", uri=f"sqlite:///{root / 'mlflow.db'}", root=tmp_path)
    assert folder != other and report.figures["throughput/steady"].value == 30.0


def test_runs_that_were_filed_before_places_were_noted(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "outputs"
    shutil.copytree(root, copy)
    client = client_of(copy)
    for run in client.search_runs([client.get_experiment_by_name("touchstone").experiment_id]):
        client.delete_tag(run.info.run_id, PLACE_TAG)
    (copy / "2026-01-02").rename(copy / "moved")
    assert {folder for folder, _ in search.search("model=bert", uri=None, root=copy)} == {
        copy / "moved" / "a",
        copy / "moved" / "b",
    }


def test_a_deleted_run_is_not_found(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "outputs")
    client = client_of(tmp_path / "outputs")
    ((run),) = find_local(tmp_path / "outputs" / "mlflow.db", parse("seed=7"), limit=9)
    client.delete_run(run.run_id)
    assert found(tmp_path / "outputs", "model=resnet50") == {"d"}


def test_one_report_that_cannot_be_read_is_told_beside_the_others(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "outputs"
    shutil.copytree(root, copy)
    (copy / "2026-01-02" / "a" / "report.json").write_text("{half")
    changed = copy / "2026-01-02" / "b" / "report.json"
    changed.write_text(changed.read_text().replace("20.0", "99.0"))
    problems: list[str] = []
    assert found(copy, "model=bert", problems=problems) == {"b"}
    assert len(problems) == 2 and "is not a report" in problems[1] and "changed after it was written" in problems[0]
    with pytest.raises(ConfigurationError, match="No report of the runs that fit can be read"):
        search.search("model=bert and precision=fp32", uri=None, root=copy)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("throughput/stedy > 1", "No run has a key throughput/stedy. The nearest is throughput/steady."),
        ("model.train.batchsize = 1", "The nearest is model.train.batch_size."),
        ("attributes.nam = x", "No run has a key nam"),
        ("tags.modle = x", "The nearest is model."),
    ],
)
def test_a_key_that_no_run_has_is_a_mistake(root: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        search.search(text, uri=None, root=root)
    assert said in str(caught.value)
    if not text.startswith("attributes"):
        with pytest.raises(ConfigurationError) as caught:
            find_remote(f"sqlite:///{root / 'mlflow.db'}", parse(text), limit=10)
        assert said in str(caught.value)


def test_stores_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no MLflow store .*mlflow\.db\. Runs make it"):
        search.search("model=bert", uri=None, root=tmp_path)
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 200)
    with pytest.raises(ConfigurationError, match="cannot be read: file is not a database"):
        search.search("model=bert", uri=None, root=tmp_path)
    with pytest.raises(ConfigurationError, match="names no file"):
        search.search("", uri="sqlite:///", root=tmp_path)


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            search.search("model=bert", uri=f"http://ann:s3cret@127.0.0.1:{port}")
    assert f"http://127.0.0.1:{port} gives no answer" in str(caught.value) and "s3cret" not in str(caught.value)
    assert "refused" in str(caught.value)

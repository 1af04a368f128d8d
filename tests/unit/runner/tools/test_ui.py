"""`touchstone ui` hands the folder's database to MLflow's page and says where that is."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest
from tracking_samples import free_port, fresh_database

from runner.cli import TOOLS
from runner.tools import ui


class Replaced(BaseException):
    """Stands for the process that became MLflow's server."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []

    def execv(program: str, command: list[str]) -> None:
        assert program == command[0] == sys.executable
        commands.append([*command[1:], str(Path.cwd())])
        raise Replaced

    monkeypatch.setattr(os, "execv", execv)
    return commands


@pytest.fixture(params=["outputs", "what? 50%25 it's #1 ü"])
def folder(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.chdir(tmp_path)
    made = tmp_path / str(request.param)
    made.mkdir()
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), made / "mlflow.db")
    return made


def test_the_page_of_a_folder(folder: Path, started: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    name, port = folder.name, str(free_port())
    with pytest.raises(Replaced):
        ui.main([name, "--port", port, "--gunicorn-opts", "x"])
    (command,) = started
    address = ["--backend-store-uri", "sqlite:///mlflow.db", "--host", "127.0.0.1", "--port", port]
    assert command == ["-P", "-m", "mlflow", "ui", *address, "--workers", "1", "--gunicorn-opts", "x", str(folder)]
    assert f"Results of {folder}: http://127.0.0.1:{port}" in capsys.readouterr().out
    assert [path.name for path in folder.parent.iterdir()] == [name]


def test_a_port_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert ui.main(["--port", str(port)]) == 2
    assert f"127.0.0.1:{port} cannot be listened on" in capsys.readouterr().err
    assert ui.main(["--port", "99999"]) == 2
    assert not started and not list(tmp_path.iterdir())


def test_a_database_that_cannot_be_used(
    tmp_path: Path, started: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    assert ui.main([str(tmp_path), "--port", str(free_port())]) == 2
    assert "is damaged" in capsys.readouterr().err and not started


def test_it_is_a_command_and_what_make_ui_calls() -> None:
    assert TOOLS["ui"][0] == ui.__name__
    makefile = (Path(__file__).parents[4] / "Makefile").read_text()
    assert "\t$(PYTHON) -m runner.ui $(UI_OPTIONS)\n" in makefile

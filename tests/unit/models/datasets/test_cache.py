"""The folder that takes the cache's place: this user's own, or one that nobody else could have made."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from models.datasets.cache import home_folder, temporary_folder
from models.datasets.spec import DataSpec


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_the_users_own_and_stays_between_runs(temporary: Path) -> None:
    folder = temporary_folder()
    assert folder == temporary / f"touchstone-{os.getuid()}" == temporary_folder()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_is_not_trusted(temporary: Path) -> None:
    taken = temporary / f"touchstone-{os.getuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    alone = temporary_folder()
    assert alone != taken
    assert alone.stat().st_mode & 0o777 == 0o700


def test_a_link_in_its_place_is_not_followed(temporary: Path) -> None:
    (temporary / "elsewhere").mkdir(mode=0o700)
    (temporary / f"touchstone-{os.getuid()}").symlink_to(temporary / "elsewhere")
    assert temporary_folder().name != f"touchstone-{os.getuid()}"


def test_a_home_that_nobody_knows(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", unknown)
    assert home_folder("~/.cache/touchstone") == temporary_folder()
    assert DataSpec(name="sample").cache_path == temporary_folder()

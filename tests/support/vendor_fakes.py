"""Puts the fake of a vendor's engine in the place of its packages and tools, for one test."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

FAKES = Path(__file__).parents[1] / "fakes"


def put(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Packages of `tests/fakes/<name>`, new for this test; returns one of them."""
    folder = FAKES / name
    monkeypatch.syspath_prepend(str(folder))
    for package in (path.stem for path in folder.iterdir()):
        for loaded in [one for one in sys.modules if one.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, loaded)
    return importlib.import_module(module)


def forget(name: str) -> None:
    """Have what a fake imported be forgotten again: the next test has a new one, or none."""
    packages = {path.stem for path in (FAKES / name).iterdir()}
    for loaded in [one for one in sys.modules if one.partition(".")[0] in packages]:
        sys.modules.pop(loaded)


def tool(folder: Path, name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is alone on PATH, besides the system's."""
    script = folder / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

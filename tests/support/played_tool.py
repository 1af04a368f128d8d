"""A vendor's tool, played by a script that is alone on PATH: what it prints per argument, or how it fails."""

import os
import shlex
from pathlib import Path

import pytest


class PlayedTool:
    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.script = folder / name
        self.log = folder / "calls.log"

    def says(self, *answers: tuple[str, str], then: str = "") -> None:
        """Print the text of the first pattern that the arguments match, and do what follows; end with 1 for others."""
        cases = []
        for number, (pattern, text) in enumerate(answers):
            (self.folder / f"{number}.txt").write_text(text)
            cases.append(f'{pattern}) cat "{self.folder}/{number}.txt";;')
        refuse = '*) echo "Couldn\'t find match for argument" >&2; exit 1;;'
        self.does(
            f'echo "$*" >> {shlex.quote(str(self.log))}\ncase "$*" in\n'
            + "\n".join([*cases, refuse])
            + f"\nesac\n{then}"
        )

    def does(self, body: str) -> None:
        self.script.write_text(f"#!/bin/sh\n{body}\n")
        self.script.chmod(0o755)

    def calls(self) -> list[str]:
        """Arguments of each call so far."""
        return self.log.read_text().splitlines()


def play(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> PlayedTool:
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return PlayedTool(folder, name)

"""`data.on_error=skip`: examples that cannot be read are left out and counted, instead of ending the run.

Loader processes tell the others through a file: each appends a line per example, in one write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch.utils.data import DataLoader, Dataset

from models.datasets.base import Batch, DataError

Part = Literal["train", "evaluation"]


class Skipped(NamedTuple):
    """What was left out, each example once however often it was asked for."""

    train: int
    evaluation: int
    problems: tuple[str, ...]
    """What was wrong with the first of them."""


class TolerantDataset(Dataset[Any]):
    """A data set that gives None for an example that cannot be read, and notes it down."""

    def __init__(self, dataset: Dataset[Any], *, part: Part, notes: Path) -> None:
        self.dataset, self.part, self.notes = dataset, part, notes

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except DataError as error:
            _note(self.notes, {"part": self.part, "index": index, "problem": str(error)})
            return None


class TolerantCollate:
    """A collation of the examples that could be read; None where there was none."""

    def __init__(self, collate: Callable[[list[Any]], Batch]) -> None:
        self.collate = collate

    def __call__(self, examples: list[Any]) -> Batch | None:
        """Join what is there."""
        readable = [example for example in examples if example is not None]
        return self.collate(readable) if readable else None


class ReadableBatches:
    """The batches of a loader without the empty ones."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Batch]:
        return (batch for batch in self.loader if batch is not None)


def skipped(notes: Path, *, shown: int = 3) -> Skipped:
    """What the notes of one rank say; nothing where there are none.

    Args:
        notes: the file.
        shown: how many problems are given in words.
    """
    if not notes.exists():
        return Skipped(0, 0, ())
    lines = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    found = {(line["part"], line["index"]): str(line["problem"]) for line in lines}
    parts = [part for part, _ in found]
    return Skipped(parts.count("train"), parts.count("evaluation"), tuple(list(found.values())[:shown]))


def _note(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, f"{json.dumps(line)}\n".encode())
    finally:
        os.close(file)

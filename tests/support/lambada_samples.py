"""A LAMBADA file of a few texts in the true format."""

from __future__ import annotations

import json
from pathlib import Path

SPACE = "\u0120"  # how byte-level BPE writes a space

VOCABULARY = {
    token: number
    for number, token in enumerate(["a", "b", "c", SPACE, f"{SPACE}b", f"{SPACE}bc", "ab", "\u00c3", "\u00a9"])
}

MERGES = ["#version: 0.2", f"{SPACE} b", f"{SPACE}b c", "a b"]


def write(root: Path, lines: list[str], *, vocabulary: object = VOCABULARY, merges: list[str] = MERGES) -> None:
    (root / "vocab.json").write_text(vocabulary if isinstance(vocabulary, str) else json.dumps(vocabulary))
    (root / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    (root / "lambada_test.json").write_text("\n".join(lines) + "\n")


def texts(*passages: str) -> list[str]:
    return [json.dumps({"text": passage}) for passage in passages]

"""`python -m runner.tools.messages [--check | --write]`: holds the catalogues of other languages to the source.

`--check` (what it does by default) tells what a catalogue lacks, has too much, or has wrongly filled in, and exits with
1 where there is any. `--write` adds new messages, empty, and removes those that the source no longer has.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from runner.core.own import ROOT
from runner.messages import LANGUAGES
from runner.messages.catalogue import RECORDED, path_of
from runner.messages.collect import Found, collect
from runner.messages.template import FIELD, fields_of

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

WIDTH = 120
"""Columns of a catalogue's lines, where they can be cut."""
_WITH_NEIGHBOURS = re.compile(r"([\w.]+=)?\{(\d*)\}(?: (GiB|MiB|W|J|s|ms|dB|%)(?![A-Za-z]))?")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.tools.messages", description=(__doc__ or "").split("\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="tell what is wrong (the default)")
    what.add_argument("--write", action="store_true", help="add new messages, empty, and remove those that vanished")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Check or write every catalogue; 0 where nothing is wrong."""
    options = _parser().parse_args(arguments)
    found, unclear = collect(ROOT)
    wrong = [f"{where}: what this translates is not found in the source: write a literal" for where in unclear]
    for language in LANGUAGES:
        if language == "en":
            continue
        path = path_of(language)
        if options.write:
            write(path, found)
        wrong += faults(path, found)
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    sys.stdout.write(f"{len(found)} messages, {len(wrong)} of them to be looked at\n")
    return 1 if wrong else 0


def faults(path: Path, found: Found) -> list[str]:
    """What is wrong with a catalogue, a line each.

    Args:
        path: its file.
        found: what the source has.
    """
    entries = {(entry.context or "", str(entry.id)): str(entry.string) for entry in _read(path) if entry.id}
    wrong: list[str] = []
    for (context, text), files in found.items():
        translation = entries.get((context, text))
        if not translation:
            wrong.append(f"{files[0]}: {path.name} lacks: {text}")
        elif not _same_fields(text, translation, recorded=context == RECORDED):
            wrong.append(f"{files[0]}: {path.name} has other fields than: {text}")
        elif context == RECORDED and not _places_kept(text, translation):
            wrong.append(f"{files[0]}: {path.name} has a field in the place of another: {text}")
    return wrong + [f"{path.name}: no longer in the source: {text}" for context, text in entries.keys() - found.keys()]


def write(path: Path, found: Found) -> None:
    """Bring a catalogue up to the source: what is there keeps its translation; the head of the file stays as it is."""
    from babel.messages.pofile import normalize

    before = {(entry.context or "", str(entry.id)): str(entry.string) for entry in _read(path) if entry.id}
    blocks = [path.read_text().partition("\n\n")[0] + "\n"]
    for (context, text), files in sorted(found.items()):
        lines = [f"#: {file}" for file in files]
        lines += [f"msgctxt {normalize(context)}"] if context else []
        lines += [f"msgid {normalize(text, width=WIDTH)}"]
        lines += [f"msgstr {normalize(before.get((context, text), ''), width=WIDTH)}"]
        blocks.append("\n".join(lines) + "\n")
    path.write_text("\n".join(blocks))


def _read(path: Path) -> Catalog:
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        return read_po(file)


def _same_fields(text: str, translation: str, *, recorded: bool) -> bool:
    """Whether a translation has the fields of its message: those named alike, or as many without a name."""
    if not recorded:
        return _names(text) == _names(translation)
    count = text.count(FIELD)
    return sorted(fields_of(translation), key=lambda name: (len(name), name)) in (
        [""] * count,
        [str(index) for index in range(count)],
    )


def _places_kept(text: str, translation: str) -> bool:
    """Whether `key={}` and `{} GiB` have the same field in both: fields are easily taken in another order."""
    theirs = set(_beside(translation))
    return all(one in theirs for one in _beside(text))


def _beside(text: str) -> Iterator[tuple[int, str]]:
    """(which field, what stands right beside it): a key before it, a unit after it."""
    for place, found in enumerate(_WITH_NEIGHBOURS.finditer(text)):
        yield from ((int(found[2] or place), beside) for beside in (found[1], found[3]) if beside)


def _names(text: str) -> set[str]:
    return {name for _, name, *_ in Formatter().parse(text) if name is not None}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

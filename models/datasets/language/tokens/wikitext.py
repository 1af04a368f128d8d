"""WikiText-103 as Hugging Face's `datasets` keeps it: lines of text in Arrow files, read batch by batch.

The corpus (Merity et al. 2016) comes split into words by spaces. As in Transformer-XL's own program, a line is its
words and `<eos>`, capitals count, and ids are ranks by frequency. Ids are made once and kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.datasets.base import DataError
from models.datasets.cache import prepared, temporary_folder
from models.datasets.language.tokens.token_stream import TokenFile
from models.datasets.reading import Reader

LAYOUT = (
    "<root>/train/*.arrow and <root>/test/*.arrow with state.json beside them, as datasets' save_to_disk writes them "
    "(or <root>/data/wikitext-train*.arrow and <root>/data/wikitext-test*.arrow, its cache), each with a column text; "
    "the vocabulary, if given, in <root>/vocab.txt: a word per line in the order of ids, with <unk> and <eos>"
)
PARTS = ("train", "test")
END, UNKNOWN = "<eos>", "<unk>"
FEWEST = 3
"""A word that is rarer in the training text is unknown: so WikiText's authors made its vocabulary of 267,735."""
COLUMN = "text"
ID = np.dtype(np.int32)
VOCABULARY = "vocab.txt"


def wikitext_tokens(root: Path, cache: Path, *, vocabulary: int, source: str) -> tuple[TokenFile, TokenFile]:
    """Ids of the training and the test text.

    Args:
        root: folder of the data set; with a `vocab.txt`, its words are used and none are counted.
        cache: folder for the ids, 4 bytes a word; the user's temporary folder where it cannot be written.
        vocabulary: most words there may be, `<unk>` and `<eos>` included.
        source: where the data set is to be had.

    Raises:
        DataError: a file is missing or damaged, or there are more words; names it.
    """
    reader = Reader(expected=LAYOUT, source=source)
    files = {part: arrow_files(root, part, reader) for part in PARTS}
    name = f"wikitext_{_digest(root, files)}"
    places: list[Callable[[], Path]] = [lambda: cache, temporary_folder]
    problem: OSError | None = None
    for place in places:
        try:
            folder = prepared(place() / name, lambda draft: _prepare(draft, root, files, vocabulary, reader))
            train, test = (_token_file(folder / f"{part}.bin") for part in PARTS)
            return train, test
        except OSError as error:
            problem = error
            logging.getLogger(__name__).warning("Word ids cannot be kept or read in the cache: %s", error)
    raise DataError(f"Word ids can be kept nowhere ({problem})", where=cache, expected="room for 4 bytes a word")


def arrow_files(root: Path, part: str, reader: Reader) -> list[Path]:
    """The Arrow files of a part in their order.

    Raises:
        DataError: there is none, or one that `state.json` names is missing.
    """
    state = root / part / "state.json"
    if state.is_file():
        with reader.reading(state, "Not the state of a data set"):
            files = [root / part / Path(one["filename"]).name for one in reader.json(state)["_data_files"]]
    else:
        found = [*(root / part).glob("*"), *(root / "data").glob(f"wikitext-{part}*")]
        files = sorted(path for path in found if path.suffix.lower() == ".arrow" and not path.name.startswith("."))
    if not files:
        raise reader.error(f"No .arrow file of the part {part}", root)
    for path in files:
        if not path.is_file():
            raise reader.error("Missing file", path)
    return files


def arrow_lines(path: Path, reader: Reader) -> Iterator[str]:
    """The column `text` of an Arrow stream, one record batch in memory at a time.

    Raises:
        DataError: the file is damaged or has no such column of text.
    """
    import pyarrow as pa

    with (
        reader.reading(path, "Not a readable Arrow stream"),
        pa.OSFile(str(path)) as file,
        pa.ipc.open_stream(file) as stream,
    ):
        kind = stream.schema.field(COLUMN).type
        if kind not in (pa.string(), pa.large_string()):
            raise reader.error(f"Column {COLUMN} is {kind}, not text", path)
        for batch in stream:
            column = batch.column(COLUMN)
            if column.null_count:
                raise reader.error(f"Column {COLUMN} has {column.null_count} rows without text", path)
            yield from column.to_pylist()


def words_of(line: str) -> list[str]:
    """A line's words and its end."""
    return [*line.split(), END]


def _digest(root: Path, files: dict[str, list[Path]]) -> str:
    """Changes when a file does."""
    given = root / VOCABULARY
    named = [*(path for part in files.values() for path in part), *([given] if given.is_file() else [])]
    described = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in named]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def _prepare(draft: Path, root: Path, files: dict[str, list[Path]], vocabulary: int, reader: Reader) -> None:
    words = _given_words(root / VOCABULARY, reader) if (root / VOCABULARY).is_file() else None
    words = words or _counted_words(files["train"], reader)
    if len(words) > vocabulary:
        where = root / VOCABULARY if (root / VOCABULARY).is_file() else files["train"][0]
        raise reader.error(f"{len(words)} words, while model.architecture.vocabulary is {vocabulary}", where)
    ids = {word: number for number, word in enumerate(words)}
    for part in PARTS:
        _write_ids(draft / f"{part}.bin", files[part], ids, reader)


def _given_words(path: Path, reader: Reader) -> list[str]:
    words = reader.text(path).split("\n")
    words = [word.removesuffix("\r") for word in (words if words[-1] else words[:-1])]
    if len(set(words)) < len(words) or not {END, UNKNOWN} <= set(words):
        raise reader.error(f"A word stands twice, or {END} or {UNKNOWN} is missing", path)
    return words


def _counted_words(files: list[Path], reader: Reader) -> list[str]:
    """`<eos>`, then words by falling frequency; equally frequent ones in the order in which they first come."""
    counts: Counter[str] = Counter()
    for path in files:
        for line in arrow_lines(path, reader):
            counts.update(line.split())
    rare = sum(count for count in counts.values() if count < FEWEST)
    counts = Counter({word: count for word, count in counts.items() if count >= FEWEST})
    counts[UNKNOWN] += rare
    counts.pop(END, None)
    return [END, *(word for word, _ in counts.most_common())]


def _write_ids(target: Path, files: list[Path], ids: dict[str, int], reader: Reader) -> None:
    unknown: Any = ids[UNKNOWN]
    with target.open("wb") as out:
        for path in files:
            for line in arrow_lines(path, reader):
                array("i", [ids.get(word, unknown) for word in words_of(line)]).tofile(out)
        if not out.tell():
            raise reader.error("No line", files[0])


def _token_file(path: Path) -> TokenFile:
    return TokenFile(path=path, dtype=ID, offset_bytes=0, length=path.stat().st_size // ID.itemsize)

"""WikiText's lines in Arrow files, as Hugging Face's `datasets` writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

LINES = ["", " = A title = \n", "", " the cat sat on the @-@ mat \n", " the the The cat sat , sat \n"]


def write_arrow(path: Path, lines: list[str], *, column: str = "text", batch: int = 3) -> None:
    """A stream of record batches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([(column, pa.string())])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
        for start in range(0, len(lines), batch):
            stream.write_batch(pa.record_batch([pa.array(lines[start : start + batch], pa.string())], schema=schema))


def write_wikitext(root: Path, lines: list[str], *, test: list[str] | None = None) -> None:
    """The layout of `save_to_disk`, the training part in two files."""
    (root / "dataset_dict.json").write_text(json.dumps({"splits": ["test", "train", "validation"]}))
    half = len(lines) // 2
    for part, parts in (("train", [lines[:half], lines[half:]]), ("test", [lines if test is None else test])):
        names = [f"data-{number:05}-of-{len(parts):05}.arrow" for number in range(len(parts))]
        for name, some in zip(names, parts, strict=True):
            write_arrow(root / part / name, some)
        state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0", "_split": part}
        (root / part / "state.json").write_text(json.dumps(state))

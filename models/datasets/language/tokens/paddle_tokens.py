"""PaddleNLP's tokenised documents: `<name>_ids.npy` holds token ids, `<name>_idx.npz` says where documents end in it.

The archive has `lens`, the number of ids of each sentence or document, and may have `docs`, the first sentence of each
document and the number of all at the end (PaddleNLP, `create_pretraining_data.py`); without it each is a document.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.datasets.language.tokens.documents import Documents
from models.datasets.language.tokens.token_stream import open_npy
from models.datasets.reading import Reader

LAYOUT = (
    "<root>/<name>_ids.npy, one dimension of integer token ids, and <root>/<name>_idx.npz with integer lens "
    "[sentences] and, where sentences are parts of documents, docs [documents + 1]"
)
INDEX, IDS = "_idx.npz", "_ids.npy"


def paddle_documents(root: Path, *, source: str) -> Documents:
    """The one pair of files in `root`.

    Raises:
        DataError: none or several, or files that are damaged or do not belong together.
    """
    reader = Reader(expected=LAYOUT, source=source)
    index = reader.only(root, INDEX)
    tokens = open_npy(index.with_name(index.name.removesuffix(INDEX) + IDS), source=source)
    arrays = _arrays(index, reader)
    lengths = arrays["lens"]
    if (lengths < 0).any() or int(lengths.sum()) != tokens.length:
        problem = f"lens add up to {int(lengths.sum()):,} ids, {tokens.path.name} holds {tokens.length:,}"
        raise reader.error(problem, index)
    ends = np.cumsum(lengths)
    if (marks := arrays.get("docs")) is not None:
        if not len(marks) or marks[0] != 0 or marks[-1] != len(lengths) or (np.diff(marks) < 0).any():
            raise reader.error(f"docs do not rise from 0 to the {len(lengths):,} sentences", index)
        ends = np.concatenate([[0], ends])[marks[1:]]
    return Documents(tokens=tokens, ends=ends)


def _arrays(index: Path, reader: Reader) -> dict[str, NDArray[np.int64]]:
    """`lens` and, where there is one, `docs`, as int64."""
    with reader.reading(index, "Not a readable .npz"), np.load(index, allow_pickle=False) as archive:
        found = {name: archive[name] for name in ("lens", "docs") if name in archive.files}
    if "lens" not in found:
        raise reader.error("The archive has no lens", index)
    for name, array in found.items():
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise reader.error(f"{name} holds {array.ndim} dimension(s) of {array.dtype}", index)
    return {name: array.astype(np.int64) for name, array in found.items()}

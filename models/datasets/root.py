"""The folder of the real data set, as the user gave it."""

from __future__ import annotations

from pathlib import Path

from models.datasets.base import DataError
from models.datasets.spec import DataSpec


def dataset_root(spec: DataSpec, *, expected: str, source: str) -> Path:
    """`data.root` as an existing folder.

    Raises:
        DataError: it was not given or is no folder; says what belongs there and where to get it.
    """
    if spec.root is None:
        raise DataError("data=dataset needs data.root", where="data.root", expected=expected, source=source)
    root = Path(spec.root).expanduser()
    if not root.is_dir():
        raise DataError("data.root is no folder", where=root, expected=expected, source=source)
    return root

"""ReCoRD in GLM's tokens: CSR matrices in HDF5, as the package h5sparse writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.sparse import csr_matrix

LENGTH, VOCABULARY = 16, 30
FOLDER = Path("ReCoRD/glm_train_eval_hdf5_sparse")
CHOICES = {"train": [2, 3, 1], "eval": [3, 2]}
"""Candidates of each question."""
ANSWERS = [[0, 2], [1]]
"""Right candidates of the evaluation questions."""


def matrices(part: str) -> dict[str, np.ndarray]:
    """Questions of a context of 8 and a candidate of 2 tokens, whose content tells the candidate's number."""
    count = sum(CHOICES[part])
    row, place = np.arange(count)[:, None], np.arange(LENGTH)
    ends = np.cumsum(CHOICES[part])
    found = {
        "text": np.where(place < 11, (row + place) % VOCABULARY, 0),
        "position": np.stack(
            [
                np.where(place < 8, place, np.where(place < 11, 3, 0)) + 0 * row,
                np.where((place >= 8) & (place < 11), place - 7, 0) + 0 * row,
            ],
            axis=1,
        ).reshape(2 * count, LENGTH),
        "target": np.where((place >= 8) & (place < 11), (row + 5) % VOCABULARY, 0),
        "logit_mask": ((place >= 8) & (place < 11)) + 0 * row,
        "mask": np.full((1, count), 8),
        "choice_start_end": np.stack([ends - CHOICES[part], ends], axis=1),
    }
    if part == "eval":
        stops = np.cumsum([len(one) for one in ANSWERS])
        found["answer_start_end"] = np.stack([stops - [len(one) for one in ANSWERS], stops], axis=1)
        found["answer_idx"] = np.array([[one for some in ANSWERS for one in some]])
    return found


def write_matrix(file: Any, name: str, values: np.ndarray) -> None:
    """One group."""
    sparse = csr_matrix(values)
    if name in file:
        del file[name]
    group = file.create_group(name)
    group.attrs["h5sparse_format"], group.attrs["h5sparse_shape"] = "csr", sparse.shape
    for key in ("data", "indices", "indptr"):
        group.create_dataset(key, data=getattr(sparse, key), maxshape=(None,))


def write_record(root: Path) -> dict[str, Path]:
    """Both files, by part."""
    paths = {part: root / FOLDER / f"{part}_hdf5" / f"{part}_sparse.hdf5" for part in CHOICES}
    for part, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for name, values in matrices(part).items():
                write_matrix(file, name, values)
    return paths

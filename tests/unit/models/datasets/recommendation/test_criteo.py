"""Criteo's logs, written here in each of their true forms."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from criteo_samples import LOOKUPS, ROWS, dense, identity, label, line, multi_hot, one_hot, write_days, write_tsv
from torch.utils.data import DataLoader

from models.datasets.base import DataError, Datasets
from models.datasets.recommendation.clicks import click_batch
from models.datasets.recommendation.criteo import criteo_datasets

LENGTHS = [3 + day % 3 for day in range(23)] + [7]


def opened(root: Path, cache: Path, rows: tuple[int, ...] = ROWS) -> Datasets:
    return criteo_datasets(root, rows=rows, lookups=LOOKUPS, cache=cache, source="Criteo")


@pytest.fixture
def days(tmp_path: Path) -> Path:
    root = tmp_path / "days"
    root.mkdir()
    return write_days(root, LENGTHS)


def test_days_are_read_in_a_row_and_the_first_half_of_the_last_is_evaluated(days: Path, tmp_path: Path) -> None:
    (days / "._day_0_dense.npy").write_bytes(b"junk")
    (days / ".DS_Store").write_bytes(b"junk")
    train, evaluation = opened(days, tmp_path)
    assert (len(train), len(evaluation)) == (sum(LENGTHS[:-1]), 4)  # type: ignore[arg-type]
    places = [(day, row) for day in range(23) for row in range(LENGTHS[day])]
    for index, (day, row) in enumerate(places):
        clicks = train[index]
        assert clicks.dense[0].tolist() == dense(day, row + 1)[row].tolist()
        assert (
            clicks.ids[0].tolist() == np.concatenate([part[row] for part in multi_hot(day, row + 1).values()]).tolist()
        )
        assert clicks.clicked.tolist() == [label(day, row)]
    assert [float(evaluation[row].clicked[0]) for row in range(4)] == [label(23, row) for row in range(4)]


def test_a_block_is_its_rows_in_the_order_asked_for(days: Path, tmp_path: Path) -> None:
    train: Any = opened(days, tmp_path).train
    order = [40, 2, 2, 70, 11, 0]
    (block,) = train.__getitems__(order)
    single = click_batch([train[index] for index in order])
    for name, values in click_batch([block]).items():
        assert values.equal(single[name]), name


def test_workers_read_what_one_process_does(days: Path, tmp_path: Path) -> None:
    train: Any = opened(days, tmp_path).train
    loader = DataLoader(train, batch_size=9, collate_fn=click_batch, num_workers=1, multiprocessing_context="fork")
    ids = [row for batch in loader for row in batch["ids"].tolist()]
    assert ids == [train[index].ids[0].tolist() for index in range(len(train))]
    assert len(pickle.dumps(train)) < 100_000
    assert pickle.loads(pickle.dumps(train))[5].ids.tolist() == train[5].ids.tolist()


def test_single_ids_are_taken_modulo_and_get_constant_companions(tmp_path: Path) -> None:
    train: Any = opened(write_days(tmp_path, LENGTHS, sparse="one"), tmp_path / "cache").train
    firsts = np.cumsum([0, *LOOKUPS])[:-1]
    (block,) = train.__getitems__(list(range(len(train))))
    own = np.concatenate([one_hot(day, LENGTHS[day]) for day in range(23)])
    assert (block.ids[:, firsts] == own % np.array(ROWS)).all()
    assert ((block.ids >= 0) & (block.ids < np.repeat(ROWS, LOOKUPS))).all()
    companions: dict[int, set[tuple[int, ...]]] = {}
    for row in block.ids:
        companions.setdefault(int(row[0]), set()).add(tuple(row[1:3]))
    assert {len(found) for found in companions.values()} == {1}
    assert len({min(found) for found in companions.values()}) > 1


@pytest.mark.parametrize("name", ["day_{}", "day_{}.gz", "DAY_{}"])
def test_tab_separated_days(tmp_path: Path, name: str) -> None:
    for day in range(24):
        write_tsv(tmp_path / name.format(day), LENGTHS[day], day)
    train: Any = opened(tmp_path, tmp_path / "cache").train
    assert len(train) == sum(LENGTHS[:-1])
    day, row, index = 1, 2, LENGTHS[0] + 2
    clicks = train[index]
    assert clicks.dense[0] == pytest.approx(dense(day, row + 1)[row], rel=1e-6)
    firsts = np.cumsum([0, *LOOKUPS])[:-1]
    assert clicks.ids[0][firsts].tolist() == [identity(day, row, table) % ROWS[table] for table in range(26)]
    assert clicks.clicked.tolist() == [label(day, row)]
    missing = train[LENGTHS[0]]
    assert missing.dense[0, 0] == pytest.approx(np.log(3))
    assert missing.ids[0][firsts][25] == 0


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_kaggles_file_is_split_by_its_last_seventh(tmp_path: Path, end: str) -> None:
    path = write_tsv(tmp_path / "train.txt", 72, end=end)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    train, evaluation = opened(tmp_path, tmp_path / "cache")
    assert (len(train), len(evaluation)) == (61, 6)  # type: ignore[arg-type]
    assert float(train[0].clicked[0]) == label(0, 0)
    assert float(evaluation[0].clicked[0]) == label(0, 61)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*") if file.is_file()}
    opened(tmp_path, tmp_path / "cache")
    assert before == {file: file.stat().st_mtime_ns for file in before}, "prepared once"


def replaced(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(path, change(np.load(path)))


BAD_DAYS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a missing day": (lambda root: (root / "day_7_dense.npy").unlink(), r"day_7_dense.npy"),
    "missing ids": (lambda root: (root / "day_7_sparse_multi_hot.npz").unlink(), r"no such file.*day_7_sparse_multi"),
    "an empty file": (lambda root: (root / "day_3_labels.npy").write_bytes(b""), r"day_3_labels.npy"),
    "a wrong type": (lambda root: replaced(root / "day_3_dense.npy", lambda x: x.astype(int)), r"int64.*day_3_dense"),
    "a wrong width": (lambda root: replaced(root / "day_3_dense.npy", lambda x: x[:, :12]), r"shape .*day_3_dense"),
    "columns of other lengths": (lambda root: replaced(root / "day_3_labels.npy", lambda x: x[1:]), r"2 rows, where"),
    "a file cut off": (
        lambda root: (root / "day_3_dense.npy").write_bytes((root / "day_3_dense.npy").read_bytes()[:-1]),
        r"cut off.*day_3_dense",
    ),
    "an archive cut off": (
        lambda root: (root / "day_3_sparse_multi_hot.npz").write_bytes(b"PK" + b"\0" * 99),
        r"day_3_sparse_multi_hot.npz",
    ),
    "a compressed archive": (
        lambda root: np.savez_compressed(root / "day_3_sparse_multi_hot.npz", **multi_hot(3, 3)),
        r"Array 0 is compressed",
    ),
    "a table too few": (
        lambda root: np.savez(
            root / "day_3_sparse_multi_hot.npz", **{str(i): multi_hot(3, 3)[str(i)] for i in range(25)}
        ),
        r"Array 25 is missing",
    ),
}


@pytest.mark.parametrize("bad", BAD_DAYS)
def test_bad_days_are_refused_at_once(days: Path, tmp_path: Path, bad: str) -> None:
    damage, said = BAD_DAYS[bad]
    damage(days)
    with pytest.raises(DataError, match=said):
        opened(days, tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("day_0_dense.npy", lambda x: x * np.nan, r"Row 1: value 0, nan, is no logarithm"),
        ("day_0_dense.npy", lambda x: x + 1000, r"Row 1: .* is no logarithm"),
        ("day_0_labels.npy", lambda x: x + 1, r"Row 1: value 0, 2, is neither 0 nor 1"),
    ],
)
def test_bad_values_are_named_when_they_are_read(days: Path, tmp_path: Path, name: str, change: Any, said: str) -> None:
    replaced(days / name, change)
    with pytest.raises(DataError, match=said):
        opened(days, tmp_path).train[1]


@pytest.mark.parametrize("wrong", [-1, ROWS[4]])
def test_an_id_outside_its_table_is_named(days: Path, tmp_path: Path, wrong: int) -> None:
    arrays = multi_hot(0, LENGTHS[0])
    arrays["4"][1, 0] = wrong
    np.savez(days / "day_0_sparse_multi_hot.npz", **arrays)
    with pytest.raises(DataError, match=rf"Row 1: value 8, {wrong}, is no row of its table: .*day_0_sparse_multi_hot"):
        opened(days, tmp_path).train[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"Not Criteo's tab-separated form"),
        (line(0, 1).encode()[:-30], r"Expected 40 columns"),
        (line(0, 1).replace("f0", "g0").encode(), r"Line 1: an id is not hexadecimal"),
        ((line(0, 1) + "0\n" + line(0, 2)).encode(), r"Line 1: an id is too long"),
        (("2" + line(0, 1)[1:]).encode(), r"Line 1: the label is neither 0 nor 1"),
        (("\t".join(["1", "-4", *line(0, 1).split("\t")[2:]])).encode(), r"Line 1: an integer is below -3"),
        (("\t".join(["1", "x", *line(0, 1).split("\t")[2:]])).encode(), r"invalid value 'x'"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(DataError, match=said) as refusal:
        opened(tmp_path, tmp_path / "cache")
    assert refusal.value.where.endswith("train.txt")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"], "no draft is left"


def test_a_gzip_cut_off_is_refused(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "train.txt.gz", 50)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train\.txt\.gz"):
        opened(tmp_path, tmp_path / "cache")


def test_another_number_of_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"26 kinds of ids, model.architecture.rows has 25"):
        opened(tmp_path, tmp_path, ROWS[:25])

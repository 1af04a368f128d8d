from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from models.datasets.audio.ljspeech import IDS, SYMBOLS, LJSpeech, clean, encode
from models.datasets.base import DataError

LINES = [
    "LJSpeech-1.1/mels/LJ022-0023.pt|Mr. Müller said, “it's late” -- twice!",
    "LJSpeech-1.1/mels/LJ043-0030.pt|All was well; [quiet] too, they say.",
]


def write(root: Path, lines: list[str] | None = None, split: str = "train") -> Path:
    """A root in the published layout; every named clip gets a mel whose length is its line number plus 4."""
    lines = LINES if lines is None else lines
    (root / "filelists").mkdir(parents=True, exist_ok=True)
    file = root / "filelists" / f"ljs_mel_text_{split}_filelist.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number, line in enumerate(lines, 1):
        path = root / line.partition("|")[0]
        if path.suffix == ".pt":
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(torch.full((80, number + 4), -5.0) + torch.arange(80.0).unsqueeze(1), path)
    return file


def test_symbol_table_is_the_published_one() -> None:
    assert len(SYMBOLS) == 148 - 84  # without the phonemes
    assert (SYMBOLS[0], SYMBOLS[1], SYMBOLS[11], SYMBOLS[12], SYMBOLS[38], SYMBOLS[63]) == (
        "_",
        "-",
        " ",
        "A",
        "a",
        "z",
    )
    assert 0 not in IDS.values()


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("The  Committee\tsaid", "the committee said"),
        ('Müller, "Müller"', "muller, muller"),
        ("Dr. Gray and Mrs. Co.", "doctor gray and misess company"),
        ("the last almost. So", "the last almost. so"),  # `st.` inside a word stays
        ("it\u2019s 'fine' \u2013 yes", "it's 'fine' - yes"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_encode_gives_ids() -> None:
    ids = encode("Ab-z")
    assert ids.dtype == torch.int64
    assert ids.tolist() == [38, 39, 1, 63]


@pytest.mark.parametrize("text", ["in 1963", "слово", "a_b", "100%"])
def test_encode_names_unknown_symbols(text: str) -> None:
    with pytest.raises(ValueError, match=r"no symbol for '") as error:
        encode(text)
    assert all(repr(char) in str(error.value) for char in set(clean(text)) - IDS.keys())


def test_reads_the_published_layout(tmp_path: Path) -> None:
    write(tmp_path)
    data = LJSpeech(tmp_path, "train")
    assert len(data) == 2
    first, second = data[0], data[1]
    assert "".join(SYMBOLS[i] for i in first.symbols) == "mister muller said, it's late -- twice!"
    assert first.mel.shape == (5, 80)
    assert second.mel.shape == (6, 80)
    assert first.mel.dtype == torch.float32
    assert first.mel[0, :3].tolist() == [-5.0, -4.0, -3.0]  # frames lead, mels follow
    assert first.mel.is_contiguous()


def test_a_second_bar_belongs_to_the_text(tmp_path: Path) -> None:
    file = write(tmp_path, [LINES[0] + "|x"])
    with pytest.raises(DataError, match=r"'\|'") as error:
        LJSpeech(tmp_path, "train")
    assert f"{file}, line 1" in str(error.value)


def test_half_precision_mels_are_widened(tmp_path: Path) -> None:
    write(tmp_path)
    torch.save(torch.zeros(80, 3, dtype=torch.float16), tmp_path / "LJSpeech-1.1/mels/LJ022-0023.pt")
    assert LJSpeech(tmp_path, "train")[0].mel.dtype == torch.float32


def check(error: DataError, where: str) -> None:
    text = str(error)
    assert where in text
    assert "ljs_mel_text_train_filelist.txt" in error.expected
    assert "keithito.com" in error.source
    assert error.source in text


def test_missing_file_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found") as error:
        LJSpeech(tmp_path, "val")
    check(error.value, str(tmp_path / "filelists" / "ljs_mel_text_val_filelist.txt"))


def test_unreadable_file_list(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_bytes(b"\xff\xfe\x00|")
    with pytest.raises(DataError, match="cannot be read") as error:
        LJSpeech(tmp_path, "train")
    check(error.value, str(file))


def test_empty_file_list(tmp_path: Path) -> None:
    file = write(tmp_path, ["", "  "])
    with pytest.raises(DataError, match="empty") as error:
        LJSpeech(tmp_path, "train")
    check(error.value, str(file))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("LJSpeech-1.1/mels/LJ001-0002.pt in being", "without `|`"),
        ("mels/absent.flac|in being", "absent.flac not found"),
        ("mels/LJ001-0002.pt|in 1455", "'1' '4' '5'"),
        ("mels/LJ001-0002.pt|  ", "no text"),
    ],
)
def test_malformed_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    file = write(tmp_path, [LINES[0], "", line])
    with pytest.raises(DataError) as error:
        LJSpeech(tmp_path, "train")
    assert problem in error.value.problem
    check(error.value, f"{file}, line 3")


class Opaque:
    """Something that only an unsafe load would bring back."""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (torch.zeros(81, 7), r"shape \(81, 7\)"),
        (torch.zeros(7, 80), r"shape \(7, 80\)"),
        (torch.zeros(80), r"shape \(80,\)"),
        (torch.zeros(80, 0), r"shape \(80, 0\)"),
        (torch.zeros(80, 7, dtype=torch.int64), "torch.int64"),
        (torch.full((80, 7), float("nan")), "not finite"),
        ({"mel": torch.zeros(80, 7)}, "holds a dict"),
        (Opaque(), "cannot be read"),
    ],
)
def test_malformed_mel_is_named(tmp_path: Path, content: object, problem: str) -> None:
    write(tmp_path)
    path = tmp_path / "LJSpeech-1.1/mels/LJ043-0030.pt"
    torch.save(content, path)
    data = LJSpeech(tmp_path, "train")
    data[0]
    with pytest.raises(DataError, match=problem) as error:
        data[1]
    check(error.value, str(path))


@pytest.mark.parametrize("content", [b"", b"not a tensor", pickle.dumps([1, 2], protocol=2)])
def test_file_that_is_no_tensor_file(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, LINES[:1])
    path = tmp_path / "LJSpeech-1.1/mels/LJ022-0023.pt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read|holds a list") as error:
        LJSpeech(tmp_path, "train")[0]
    check(error.value, str(path))


def test_mel_that_goes_missing_later(tmp_path: Path) -> None:
    write(tmp_path, LINES[:1])
    data = LJSpeech(tmp_path, "train")
    path = tmp_path / "LJSpeech-1.1/mels/LJ022-0023.pt"
    path.unlink()
    with pytest.raises(DataError, match="cannot be read") as error:
        data[0]
    check(error.value, str(path))

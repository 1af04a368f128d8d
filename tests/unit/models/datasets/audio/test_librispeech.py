from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sound_samples import write_librispeech, write_sound

from models.datasets.audio.librispeech import LibriSpeech, sample_utterances
from models.datasets.base import DataError
from models.datasets.visits import Visit


def subset(root: Path, name: str = "train-full-960", *, shortest: int = 1000, whole: bool = False) -> LibriSpeech:
    return LibriSpeech(root, name, shortest=shortest, longest=5000, whole=whole)


def test_utterances_come_whole_and_too_short_ones_are_left_out(tmp_path: Path) -> None:
    write_librispeech(tmp_path, [3000, 999, 7000], subset="train-full-960")
    data = pickle.loads(pickle.dumps(subset(tmp_path)))
    assert data.sizes() == [3000, 5000]
    stored, _ = soundfile.read(tmp_path / "train-full-960/103/1240/103-1240-0002.flac", dtype="float32")
    assert np.array_equal(data[1].audio.numpy(), stored) and not data[1].whole
    seeds = {data[Visit(index, 0, number)].seed for index in (0, 1) for number in (0, 1)}
    assert len(seeds) == 4 and data[Visit(0, 0, 1)].seed == data[Visit(0, 0, 1)].seed


def test_the_folder_of_the_manifest_counts_where_it_is_there(tmp_path: Path) -> None:
    write_librispeech(tmp_path / "sounds", [3000], subset="dev-other", folder=str(tmp_path / "sounds"))
    (tmp_path / "sounds/dev-other.tsv").rename(tmp_path / "dev-other.tsv")
    assert len(subset(tmp_path, "dev-other", whole=True)[0].audio) == 3000


def test_marks_of_other_systems_do_no_harm(tmp_path: Path) -> None:
    manifest = write_librispeech(tmp_path, [3000], subset="dev-other")
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes().replace(b"\n", b"\r\n"))
    sound = tmp_path / "dev-other/103/1240/103-1240-0000.flac"
    sound.rename(sound.with_suffix(".FLAC"))
    assert len(subset(tmp_path, "dev-other", whole=True)[0].audio) == 3000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 of 0 utterances"),
        ("/data\n", "0 of 0 utterances"),
        ("/data\na.flac 3000\n", "no path, tab and number.*line 2"),
        ("/data\na.flac\t-3\n", "no path, tab and number"),
        ("/data\na.flac\t999\n", "1 of 1 utterances have fewer than 1000"),
        ("/data\na.flac\t3000\nb.flac\t999\n", "1 of 2 utterances"),
    ],
)
def test_bad_manifests_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "dev-other.tsv").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        subset(tmp_path, "dev-other", whole=True)
    assert "dev-other.tsv" in str(caught.value)


def test_bad_files_are_named(tmp_path: Path) -> None:
    write_librispeech(tmp_path, [30_000], subset="dev-other")
    data = subset(tmp_path, "dev-other", whole=True)
    path = tmp_path / "dev-other/103/1240/103-1240-0000.flac"

    def fails(words: str) -> None:
        with pytest.raises(DataError, match=words) as caught:
            data[0]
        assert path.name in str(caught.value)

    path.write_bytes(path.read_bytes()[:9000])
    fails("Sound")
    write_sound(path, 29_999, rate_hz=16_000)
    fails("29999 samples, its manifest says 30000")
    write_sound(path, 30_000, rate_hz=22_050)
    fails("22050 samples per second")
    path.unlink()
    fails("not found")


def test_channels_are_averaged(tmp_path: Path) -> None:
    write_librispeech(tmp_path, [3000], subset="dev-other")
    mean = write_sound(tmp_path / "dev-other/103/1240/103-1240-0000.flac", 3000, rate_hz=16_000, channels=2)
    assert np.allclose(subset(tmp_path, "dev-other", whole=True)[0].audio, mean, atol=1e-6)


def test_the_sample_is_the_same_everywhere() -> None:
    train, evaluation = sample_utterances(symbols_per_clip=4, longest=3000)
    assert max(train.sizes()) == 3000 and evaluation[0].whole and not train[0].whole  # type: ignore[attr-defined]
    assert train[0].seed == train[0].seed != train[1].seed

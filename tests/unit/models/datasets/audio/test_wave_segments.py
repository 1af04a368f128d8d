from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from sound_samples import write_ljspeech, write_sound

from models.datasets.audio.mels import log_mel
from models.datasets.audio.wave_segments import LJSpeechWaves, spoken_segments
from models.datasets.base import DataError
from models.datasets.visits import Visit


def waves(root: Path, length: int = 2048) -> LJSpeechWaves:
    return LJSpeechWaves(root, "train", length=length, mels=80)


def test_a_segment_is_a_piece_of_its_file_with_its_own_mel(tmp_path: Path) -> None:
    write_ljspeech(tmp_path, [5000, 7000])
    data = waves(tmp_path)
    whole, _ = soundfile.read(tmp_path / data.names[1].decode(), dtype="float32")
    places = set()
    for number in range(5):
        segment = data[Visit(1, 0, number)]
        audio = segment.audio.numpy()
        (first,) = [at for at in range(7000 - 2048 + 1) if np.array_equal(whole[at : at + 2048], audio)]
        places.add(first)
        assert segment.mel.shape == (80, 9)
        assert torch.equal(segment.mel, log_mel(segment.audio).T)
    assert len(places) == 5
    assert torch.equal(data[Visit(1, 0, 3)].audio, data[Visit(1, 0, 3)].audio)
    assert torch.equal(data[1].audio, pickle.loads(pickle.dumps(data))[1].audio)


def test_a_clip_that_is_too_short_is_followed_by_silence(tmp_path: Path) -> None:
    write_ljspeech(tmp_path, [1500])
    segment = waves(tmp_path)[0]
    assert bool((segment.audio[:1500] != 0).any()) and not segment.audio[1500:].any()
    assert segment.audio.shape == (2048,) and bool(segment.mel.isfinite().all())


def test_endings_in_capitals_are_found(tmp_path: Path) -> None:
    write_ljspeech(tmp_path, [3000], ending=".WAV")
    assert len(waves(tmp_path)[0].audio) == 2048


def test_bad_files_are_named(tmp_path: Path) -> None:
    write_ljspeech(tmp_path, [3000])
    data = waves(tmp_path)
    path = tmp_path / data.names[0].decode()
    good = path.read_bytes()

    def fails(words: str) -> None:
        with pytest.raises(DataError, match=words) as caught:
            data[0]
        assert path.name in str(caught.value)

    path.write_bytes(good[: len(good) // 2])
    fails("cut off")
    path.write_bytes(b"")
    fails("cannot be read")
    path.write_bytes(b"<html>not found</html>")
    fails("cannot be read")
    write_sound(path, 3000, rate_hz=16_000)
    fails("16000 samples per second, not 22050")
    write_sound(path, 0, rate_hz=22_050)
    fails("empty")
    for value, words in ((np.nan, "not finite"), (3.0, "beyond -1 and 1")):
        soundfile.write(path, np.full(3000, value, dtype=np.float32), 22_050, subtype="FLOAT")
        fails(words)
    path.unlink()
    fails("cannot be read")


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("LJSpeech-1.1/wavs/a.wav\n", "Line without"), ("a.wav|Text\n", "not found")],
)
def test_bad_lists_are_named(tmp_path: Path, text: str, words: str) -> None:
    listed = write_ljspeech(tmp_path, [3000])
    listed.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        waves(tmp_path)
    assert listed.name in str(caught.value)
    listed.unlink()
    with pytest.raises(DataError, match="no such file"):
        waves(tmp_path)


def test_the_sample_is_the_same_everywhere_and_cut_anew_in_each_pass() -> None:
    train, evaluation = spoken_segments(symbols_per_clip=4, length=1024, mels=20)
    assert torch.equal(train[3].audio, train[3].audio) and train[3].mel.shape == (20, 5)
    assert not torch.equal(train[Visit(3, 0, 1)].audio, train[Visit(3, 0, 2)].audio)
    assert float(evaluation[0].audio.abs().max()) <= 1

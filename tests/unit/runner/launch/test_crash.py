"""How a worker's end is told: lack of memory in anybody's words, SIGBUS, errors that come out of a loader process."""

from __future__ import annotations

import errno
import resource
import signal
from pathlib import Path

import pytest

from models.datasets.base import DataError
from runner.core.errors import DataMissingError, OutOfMemoryError, WorkerCrashedError, classify
from runner.launch.attempt import _crash

TORCH = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to 9 bytes"
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(TORCH),
        RuntimeError("std::bad_alloc"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError("libgomp.so.1: cannot allocate memory in static TLS block"),
    ],
)
def test_lack_of_memory_in_anybodys_words(error: Exception) -> None:
    assert isinstance(classify(error), OutOfMemoryError)


@pytest.mark.parametrize("error", [ValueError("out of memory"), OSError(errno.EACCES, "denied"), RuntimeError("shape")])
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    assert isinstance(classify(error), WorkerCrashedError)


@pytest.mark.parametrize(
    "last",
    [
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.",
        "MemoryError",
    ],
)
def test_last_words_of_a_worker_without_memory(tmp_path: Path, last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: NO_LIMIT)
    (tmp_path / "worker.log").write_text(f"starting\n{last}\n")
    found = _crash(-signal.SIGABRT, tmp_path)
    assert isinstance(found, OutOfMemoryError)
    assert "SIGABRT" in str(found)
    assert last in str(found)


def test_a_limited_address_space_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (3 * 2**30, resource.RLIM_INFINITY))
    killed, ended = _crash(-signal.SIGSEGV, tmp_path), _crash(1, tmp_path)
    assert isinstance(killed, OutOfMemoryError)
    assert isinstance(ended, WorkerCrashedError)
    assert "3.0 GiB (ulimit -v)" in str(killed)
    assert "3.0 GiB (ulimit -v)" in str(ended)


def test_a_crash_stays_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: NO_LIMIT)
    (tmp_path / "worker.log").write_text("Fatal Python error: Segmentation fault\n")
    found = _crash(-signal.SIGSEGV, tmp_path)
    assert isinstance(found, WorkerCrashedError)
    assert "ulimit" not in str(found)


def test_a_bus_error_names_both_of_its_causes(tmp_path: Path) -> None:
    loader = RuntimeError(
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
        "shared memory. Please try to raise your shared memory limit."
    )
    for found in (classify(loader), _crash(-signal.SIGBUS, tmp_path)):
        assert isinstance(found, WorkerCrashedError)
        assert "became shorter" in str(found)
        assert "/dev/shm" in str(found)


def test_an_error_from_a_loader_process_comes_without_its_traceback() -> None:
    """As torch's ExceptionWrapper writes it."""
    text = (
        "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "worker.py", line 9, in fetch\nmodels.data.base.DataError: Cut short: a.JPEG. Expected: a whole JPEG.\n'
    )
    found = classify(DataError(text))
    assert isinstance(found, DataMissingError)
    assert str(found) == "Cut short: a.JPEG. Expected: a whole JPEG."

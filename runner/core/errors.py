"""One class per cause of failure, each with its exit code. The message is what the user reads."""

from __future__ import annotations

import errno
from typing import ClassVar


class TouchstoneError(Exception):
    """A failure with a known cause. The message says what is wrong, where, and what to do."""

    exit_code: ClassVar[int] = 1


class ConfigurationError(TouchstoneError):
    """The case as written makes no sense."""

    exit_code = 2


class HardwareError(TouchstoneError):
    """The chip, its driver or its software stack is not available."""

    exit_code = 3


class DependencyError(TouchstoneError):
    """A Python package is missing."""

    exit_code = 4


class DataMissingError(TouchstoneError):
    """Data was not found or is malformed."""

    exit_code = 5


class OutOfMemoryError(TouchstoneError):
    """The device or the host has not enough memory for the case."""

    exit_code = 6


class DivergedError(TouchstoneError):
    """The loss is no longer a finite number."""

    exit_code = 7


class TargetNotReachedError(TouchstoneError):
    """Training used its whole budget without reaching the quality target."""

    exit_code = 8


class GateMissedError(TouchstoneError):
    """A served model's answers are not as good, or not as near to the reference, as they have to be."""

    exit_code = 8


class NotFiniteError(TouchstoneError):
    """A served model's answers are no finite numbers."""

    exit_code = 7


class TimedOutError(TouchstoneError):
    """The worker took longer than `run.timeout_s`."""

    exit_code = 9


class WorkerCrashedError(TouchstoneError):
    """The worker ended without saying why, or with an error nobody foresaw."""

    exit_code = 10


class StorageError(TouchstoneError):
    """What the run writes could not be written."""

    exit_code = 10


class InterruptedRunError(TouchstoneError):
    """Ctrl-C or SIGTERM."""

    exit_code = 130


OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",  # torch's allocator of the host
    "cannot allocate memory",  # ENOMEM in the C library's words
    "memory allocation",  # OpenBLAS, Rust
    "bad_alloc",  # C++
    "failed to map segment",  # a shared library under `ulimit -v`
    "memoryerror",
)
"""What libraries say, in lower case, when they get no memory."""
BUS_ERROR = (
    "was killed by SIGBUS: memory behind a file was not there. Either a file that was mapped became shorter while it "
    "was read (somebody writes the data set or the installed packages), or shared memory is full (df /dev/shm: give "
    "it more, or set data.workers=0). The end of worker.log may name the file."
)

BY_NAME: dict[str, type[TouchstoneError]] = {kind.__name__: kind for kind in TouchstoneError.__subclasses__()}


def classify(error: BaseException) -> TouchstoneError:
    """The cause behind any exception a worker can meet; what is not recognised is a crash, with its own text."""
    from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
    from hardware.engines.base import UnsupportedGraphError

    if isinstance(error, TouchstoneError):
        return error
    for kinds, cause in (
        ((HardwareUnavailableError, PrecisionUnsupportedError), HardwareError),
        ((UnsupportedGraphError,), ConfigurationError),
    ):
        if isinstance(error, kinds):
            return cause(str(error))
    if isinstance(error, ModuleNotFoundError):
        return DependencyError(
            f"The Python package '{error.name}' is missing. Install it with: pip install {error.name}"
        )
    if _is_out_of_memory(error):
        return OutOfMemoryError(
            f"Not enough memory: {_first_line(error)}. Lower the batch size: model.infer.batch_size, or "
            "model.train.batch_size (raise model.train.gradient_accumulation_steps to keep the global batch); or use "
            "scale=tiny."
        )
    if _is_full_disk(error):
        place = getattr(error, "filename", None) or "the run folder"
        return StorageError(
            f"The disk that holds {place} is full: {_first_line(error)}. Free space there, or choose another place "
            "with run.root=FOLDER."
        )
    if _is_data_error(error):
        return DataMissingError(_own_words(error))
    if "bus error" in str(error).lower():
        return WorkerCrashedError(f"A data-loader process {BUS_ERROR}")
    return WorkerCrashedError(f"{type(error).__name__}: {_first_line(error)}. The traceback is in worker.log.")


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError | ImportError | OSError) and says_out_of_memory(str(error))


def says_out_of_memory(text: str) -> bool:
    """Whether a library's or the system's words mean that memory could not be had."""
    return any(words in text.lower() for words in OUT_OF_MEMORY)


def _own_words(error: BaseException) -> str:
    """The message of an error; of one that a data-loader process met, without the traceback torch puts before it."""
    text = str(error).strip()
    if text.startswith("Caught ") and "Original Traceback" in text:
        return text.splitlines()[-1].partition(": ")[2] or text
    return text


def _is_full_disk(error: BaseException) -> bool:
    """Whether a write found no room; torch and HDF5 tell that in their text alone. Shared memory is no disk."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error).lower()
    told = ("no space left on device", "disk quota exceeded", "pytorchstreamwriter failed writing", "disk is full")
    return any(part in text for part in told) and "</torch_" not in text and "shared memory" not in text


def _is_data_error(error: BaseException) -> bool:
    return any(kind.__name__ == "DataError" and kind.__module__.startswith("models.") for kind in type(error).__mro__)


def _first_line(error: BaseException) -> str:
    text = _own_words(error)
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__

"""The other end of the sampler: starts it, and asks it for marks. Nothing here may fail a run."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from hardware.base import DeviceIdentity
from hardware.child import python, with_own_root

KEY_VARIABLE = "TOUCHSTONE_SAMPLER_KEY"
ADDRESS_VARIABLE = "TOUCHSTONE_SAMPLER_ADDRESS"
FOLDER_PREFIX = "touchstone-"
"""Of the folder a socket lies in; whoever ends last removes it."""
_GONE = (EOFError, OSError, AuthenticationError, UnpicklingError)
_RETRY_S = 0.05
SOCKET = "sampler"
MOST_PATH_BYTES = 100
"""Of a socket's path: Linux takes 107, macOS 103 (sys/un.h)."""


class SamplerClient:
    """Asks one sampler; once it does not answer in time it is taken for gone, and nothing is asked any more."""

    def __init__(self, address: str | None, key: str | None, *, timeout_s: float = 5.0) -> None:
        """Connect, waiting up to `timeout_s` for a sampler that is just starting; never raises.

        Args:
            address: path of its socket; None: there is no sampler.
            key: its key, in hexadecimal digits.
            timeout_s: longest wait for the connection and for each answer.
        """
        self._timeout_s = timeout_s
        self.reason: str | None = None
        """Why there is no sampler; None while there is."""
        self._connection: Connection | None = None
        if address and key:
            self._connect(address, key)
        else:
            self.reason = "no sampler was started"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> SamplerClient:
        """The sampler that the parent process named (`SamplerProcess.environment`)."""
        return cls(environment.get(ADDRESS_VARIABLE), environment.get(KEY_VARIABLE))

    @property
    def connected(self) -> bool:
        """Whether the sampler has answered so far."""
        return self._connection is not None

    def mark(self, name: str) -> float:
        """Have every energy counter read now.

        Returns:
            Monotonic time just before the readings, or the present time when there is no sampler. The call itself
            takes as long as the counters do: stamp throughput separately.
        """
        moment = self._ask("mark", name)
        return float(moment) if isinstance(moment, int | float) else time.monotonic()

    def devices(self, identities: Sequence[DeviceIdentity]) -> dict[str, str | None]:
        """Measure these devices and no others; returns why each meter is not open, None for those that are."""
        reasons = self._ask("devices", [asdict(one) for one in identities])
        return reasons if isinstance(reasons, dict) else {}

    def watch(self, pid: int) -> None:
        """Count processor time and memory of this process and its descendants."""
        self._ask("watch", pid)

    def stop(self) -> None:
        """End the sampler."""
        self._ask("stop")

    def close(self) -> None:
        """Hang up; the sampler goes on."""
        self._lose("closed")

    def _ask(self, *request: Any) -> Any:
        """The sampler's answer; None without one."""
        if self._connection is None:
            return None
        try:
            self._connection.send(request)
            if self._connection.poll(self._timeout_s):
                outcome, value = self._connection.recv()
                return value if outcome == "ok" else None
            reason = f"the sampler did not answer within {self._timeout_s:g} s"
        except _GONE as error:
            reason = f"the sampler is gone: {str(error) or type(error).__name__}"
        self._lose(reason)
        return None

    def _lose(self, reason: str) -> None:
        """Hang up and remember why."""
        if self._connection is not None:
            self._connection.close()
            self._connection, self.reason = None, reason

    def _connect(self, address: str, key: str) -> None:
        deadline_s = time.monotonic() + self._timeout_s
        while True:
            try:
                self._connection = self._greet(Client(address, family="AF_UNIX"), bytes.fromhex(key))
                return
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if time.monotonic() >= deadline_s:
                    self.reason = f"no sampler at {address}: {error}"
                    return
                time.sleep(_RETRY_S)
            except (*_GONE, ValueError) as error:
                self.reason = f"the sampler at {address} refused: {str(error) or type(error).__name__}"
                return

    def _greet(self, connection: Connection, key: bytes) -> Connection:
        """Prove to each other that both know the key; a frozen sampler must not block the caller."""
        if not connection.poll(self._timeout_s):
            connection.close()
            raise TimeoutError(f"no greeting within {self._timeout_s:g} s")
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
        return connection


def _ending(status: int) -> str:
    """A process's end in words."""
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def socket_folder() -> Path:
    """A new folder of the user's own, whose path is short enough for that of a socket.

    Not in the run folder, nor in a temporary one with a long name: a socket's path has about 100 bytes.

    Raises:
        OSError: no such folder can be made.
    """
    for base in (_temporary(), os.environ.get("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp", "/dev/shm"):
        if not base or len(os.fsencode(base)) > MOST_PATH_BYTES - len(f"/{FOLDER_PREFIX}12345678/{SOCKET}"):
            continue
        with contextlib.suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=base))
    raise OSError(
        f"no folder for the sampler's socket: its path may have {MOST_PATH_BYTES} bytes, and neither TMPDIR, "
        "XDG_RUNTIME_DIR nor /tmp is a writable folder with so short a name"
    )


def _temporary() -> str | None:
    try:
        return tempfile.gettempdir()
    except OSError:
        return None  # nothing at all is writable that Python knows of


@dataclass(kw_only=True, slots=True)
class SamplerProcess:
    """A running sampler."""

    process: subprocess.Popen[bytes]
    address: str
    key: str
    folder: Path
    """Holds the socket alone."""
    problem: str | None = None
    """Once it was stopped: why its readings do not reach to the end; None when they do."""
    stopped: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """What a worker needs to find it (`SamplerClient.from_environment`)."""
        return {ADDRESS_VARIABLE: self.address, KEY_VARIABLE: self.key}

    def stop(self, timeout_s: float = 5.0) -> int | None:
        """End it: by signal, then by force. Returns its exit status; None if not even that ended it in time."""
        status = None if self.stopped else self.process.poll()
        self.stopped = True
        if status is not None:
            self.problem = f"the sampler had ended before the run did ({_ending(status)})"
        self.process.terminate()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.problem = f"the sampler did not answer within {timeout_s:g} s when it was to end, and was killed"
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout_s)
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.process.returncode


def start_sampler(
    trace: Path,
    meters: Sequence[str],
    *,
    devices: Sequence[DeviceIdentity] = (),
    period_s: float = 0.1,
    window_s: float | None = None,
    watch_pids: Sequence[int] = (),
    log: Path | None = None,
    prometheus: tuple[str, int] | None = None,
) -> SamplerProcess:
    """Start a sampler that ends with the calling process.

    Args:
        trace: CSV file to append to.
        meters: names, in the order of preference.
        devices: what to measure, where it is known already; else `SamplerClient.devices`.
        period_s: sampling period in seconds.
        window_s: length of the shortest window that will be measured, which no period exceeds a twentieth of.
        watch_pids: processes whose trees' memory counts; more by `SamplerClient.watch`.
        log: file for its complaints; None drops them.
        prometheus: address and port at which to serve live readings as Prometheus metrics; None serves none.

    Raises:
        OSError: no process can be started, or there is no folder for its socket.
    """
    folder = socket_folder()
    address, key = str(folder / SOCKET), secrets.token_hex(32)
    command = python("hardware.sampling.sampler", "--trace", str(trace), "--meters", ",".join(meters))
    command += ["--devices", json.dumps([asdict(one) for one in devices]), "--period", str(period_s)]
    command += [] if window_s is None else ["--window", str(window_s)]
    command += ["--address", address, "--parent-pid", str(os.getpid())]
    if prometheus is not None:
        command += ["--prometheus-address", prometheus[0], "--prometheus-port", str(prometheus[1])]
    command += [part for pid in watch_pids for part in ("--watch-pid", str(pid))]
    with log.open("ab") if log else contextlib.nullcontext(subprocess.DEVNULL) as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=with_own_root(os.environ) | {KEY_VARIABLE: key},
            start_new_session=True,  # Ctrl-C is for the run; what it used up to then is still written down
        )
    return SamplerProcess(process=process, address=address, key=key, folder=folder)

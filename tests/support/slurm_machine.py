"""A SLURM cluster of two nodes on this one machine, as root and without systemd: the real daemons, for a while.

Run by hand: `python tests/support/slurm_machine.py start [--accounting] [--nodes 2]`, then `export SLURM_CONF=…` as it
says; `… stop` ends everything and leaves nothing. Tests take the fixtures of tests/support/slurm_fixtures.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BY_HAND = Path(tempfile.gettempdir()) / "touchstone-slurm"
"""Where the script keeps its cluster."""
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "sinfo")
NEEDED_FOR_ACCOUNTING = ("slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb", "mariadb-install-db")
DAEMONS = (*NEEDED[:3], "slurmstepd", "slurmdbd", "mariadbd")
STARTS_WITHIN_S = 60
STOPS_WITHIN_S = 20
CPUS = 4
"""Per node: more than there are, so that two jobs of two tasks run beside each other."""

CONFIGURATION = """\
ClusterName=touchstone
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
KillWait=3
InactiveLimit=0
SlurmctldTimeout=60
SlurmdTimeout=60
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/%n
{accounting}
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE OverSubscribe=FORCE:4 State=UP
"""
NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none\nJobAcctGatherType=jobacct_gather/none"
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge.socket
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5"""
DATABASE_DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""


class SlurmMachine:
    """One cluster in one folder; every process of it has the folder's slurm.conf in its environment."""

    def __init__(self, folder: Path, *, nodes: int = 2, accounting: bool = False) -> None:
        self.folder, self.accounting = folder, accounting
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.conf = folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to speak to this cluster."""
        return {"SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Start all daemons.

        Raises:
            RuntimeError: one did not come up; says what its log says.
        """
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)  # munged's clients pass through
        self._write_configuration()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        names = {name: self.folder / f"munge.{name}" for name in ("key", "socket", "pid", "log", "seed")}
        places = [f"--{name}{'' if name == 'socket' else '-file'}={path}" for name, path in names.items()]
        self._spawn("munged", "--foreground", "--force", *places)
        self._wait("munged", names["socket"].exists)
        if self.accounting:
            self._start_accounting()
        self._spawn("slurmctld", "-D")
        self._wait("slurmctld", self._up)
        for node in self.nodes:
            self._spawn("slurmd", "-D", "-N", node, log=f"slurmd-{node}")
        self._wait("slurmd", lambda: self.call("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(self.nodes))

    def stop(self) -> None:
        """End the jobs, then the daemons, then whatever is left of either; remove the folder."""
        if "slurmctld" in [name for _, name in self.processes()] and self._up():
            self.call("scancel", "--full", "--signal=KILL", "--user=root")
            self.call("scancel", "--user=root")
            self._until(lambda: not self.call("squeue", "-h"), STOPS_WITHIN_S)
        for names in (("slurmd",), ("slurmctld",), ("slurmdbd",), ("mariadbd", "munged")):
            self._end([pid for pid, name in self.processes() if name in names], signal.SIGTERM)
        self._end([pid for pid, _ in self.processes()], signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, *command: str) -> str:
        """What a command of SLURM's says on standard output, stripped; empty where it failed."""
        environment = {**os.environ, **self.environment}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def processes(self) -> list[tuple[int, str]]:
        """Number and name of this cluster's daemons and of its jobs' processes, never of who only speaks to it."""
        ours = f"SLURM_CONF={self.conf}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                number, name = int(entry.name), (entry / "comm").read_text().strip()
                environment = (entry / "environ").read_bytes().split(b"\0")
                belongs = name in DAEMONS or any(one.startswith(b"SLURM_JOB_ID=") for one in environment)
                if ours in environment and belongs and number != os.getpid():
                    found.append((number, name))
        return found

    def _write_configuration(self) -> None:
        (self.folder / "state").mkdir()
        ports = iter(_free_ports(3 + len(self.nodes)))
        values = {"folder": self.folder, "host": socket.gethostname().partition(".")[0]}
        values |= {"ctld": next(ports), "dbd": next(ports), "database": next(ports)}
        self.database_port = values["database"]
        accounting = ACCOUNTING.format_map(values) if self.accounting else NO_ACCOUNTING
        lines = []
        for node in self.nodes:
            (self.folder / node).mkdir()
            lines.append(
                f"NodeName={node} NodeHostname={values['host']} NodeAddr=127.0.0.1 Port={next(ports)} "
                f"CPUs={CPUS} RealMemory=8000 State=UNKNOWN"
            )
        self.conf.write_text(CONFIGURATION.format(accounting=accounting, nodes="\n".join(lines), **values))
        if self.accounting:
            path = self.folder / "slurmdbd.conf"
            path.write_text(DATABASE_DAEMON.format_map(values))
            path.chmod(0o600)

    def _start_accounting(self) -> None:
        data, connection = self.folder / "database", self.folder / "mariadb.socket"
        install = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}"]
        subprocess.run([*install, "--auth-root-authentication-method=normal"], capture_output=True, check=True)
        self._spawn(
            *("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={connection}"),
            *(f"--port={self.database_port}", "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M"),
            *("--innodb-lock-wait-timeout=900", f"--pid-file={self.folder}/mariadb.pid"),
        )
        client = ["mariadb", "--no-defaults", f"--socket={connection}", "--user=root", "-e"]
        self._wait("mariadbd", lambda: self._does([*client, "select 1"]))
        rights = "create user slurm@'%' identified by 'slurm'; grant all on slurm.* to slurm@'%';"
        subprocess.run([*client, rights + rights.replace("%", "localhost")], check=True, capture_output=True)
        self._spawn("slurmdbd", "-D")
        self._wait("slurmdbd", lambda: "Cluster" in self.call("sacctmgr", "-i", "show", "cluster"))
        self.call("sacctmgr", "-i", "add", "cluster", "touchstone")

    def _spawn(self, *command: str, log: str = "") -> None:
        with (self.folder / f"{log or command[0]}.out").open("wb") as out:
            subprocess.Popen(
                command,
                env={**os.environ, **self.environment},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @staticmethod
    def _does(command: list[str]) -> bool:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _up(self) -> bool:
        return "UP" in self.call("scontrol", "ping")

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        if not self._until(ready, STARTS_WITHIN_S):
            logs = sorted({*self.folder.glob(f"{what}*.out"), *self.folder.glob("*.log")})
            said = "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)
            raise RuntimeError(f"{what} did not come up within {STARTS_WITHIN_S} s.\n{said}")

    @staticmethod
    def _until(done: Callable[[], bool], within_s: float) -> bool:
        last = time.monotonic() + within_s
        while not (reached := done()) and time.monotonic() < last:
            time.sleep(0.2)
        return reached

    def _end(self, numbers: list[int], by: signal.Signals) -> None:
        for number in numbers:
            with suppress(ProcessLookupError):
                os.kill(number, by)
        self._until(lambda: not any(_lives(number) for number in numbers), STOPS_WITHIN_S)


def missing(*, accounting: bool = False) -> str | None:
    """Why no cluster can be started here; None where it can."""
    if os.getuid() != 0:
        return "the SLURM test bed runs its daemons as root"
    wanted = [*NEEDED, *(NEEDED_FOR_ACCOUNTING if accounting else ())]
    absent = [name for name in wanted if shutil.which(name) is None]
    return f"SLURM's programs are not installed: {', '.join(absent)}" if absent else None


@contextmanager
def running(*, accounting: bool = False, nodes: int = 2) -> Iterator[SlurmMachine]:
    """A cluster in a folder of its own, gone at the end."""
    machine = SlurmMachine(Path(tempfile.mkdtemp(prefix="touchstone-slurm-")) / "c", nodes=nodes, accounting=accounting)
    machine.folder.parent.chmod(0o755)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
        shutil.rmtree(machine.folder.parent, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


def _lives(number: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(number, os.WNOHANG)
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main() -> int:
    """Start or stop the cluster of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("start", "stop"))
    parser.add_argument("--accounting", action="store_true")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=BY_HAND)
    asked = parser.parse_args()
    machine = SlurmMachine(asked.folder.resolve(), nodes=asked.nodes, accounting=asked.accounting)
    if asked.what == "stop" or machine.folder.exists():
        machine.stop()
    if asked.what == "stop":
        return 0
    if (reason := missing(accounting=asked.accounting)) is not None:
        sys.stderr.write(f"{reason}\n")
        return 4
    try:
        machine.start()
    except BaseException:
        machine.stop()
        raise
    sys.stdout.write(f"export SLURM_CONF={machine.conf}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Reader of FlagPerf's training results: the folder of a round, of a node, or a single log.

result/run<time>/<model>:<framework>:<hardware>:<nodes>:<devices>:<repeat>/round<n>/<host>_noderank<i>/
    rank<r>.out.log   cpu_monitor.log mem_monitor.log pwr_monitor.log   <vendor>_monitor.log
"""

from __future__ import annotations

import re
from pathlib import Path

from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.exchange.base.imported import Imported, number_of
from runner.exchange.base.models import of_flagperf
from runner.exchange.flagperf.finished import take_finished
from runner.exchange.flagperf.log import RANK_LOG, RankLog, is_rank_log, read_rank_log
from runner.exchange.flagperf.monitor import ENDING, HOST, is_monitor, kind_of, take_monitors
from runner.record.values import Missing

NAME = "flagperf"
VERSION = "PerfLog"
_NODE = re.compile(r".+_noderank(\d+)")
_KEY = re.compile(r"([^:]+):([^:]+):([^:]+):(\d+):(\d+):(\d+)(?::.*)?")
_UP = 4
"""Folders above a log among which the case's key stands."""


def detect(path: Path) -> bool:
    """Whether a path is a round's or a node's folder, a rank log or a monitor."""
    if path.is_dir():
        return bool(_node_folders(path))
    return is_monitor(path) or is_rank_log(path)


def read(path: Path) -> list[Imported]:
    """Read one result.

    Raises:
        ConfigurationError: a figure is no number, or the log holds no event.
    """
    nodes = _node_folders(path) if path.is_dir() else []
    logs = [path] if path.is_file() and not is_monitor(path) else _main_logs(nodes)
    monitors = [path] if path.is_file() and is_monitor(path) else _monitors(nodes)
    source = logs[0] if logs else monitors[0]
    imported = Imported(format=NAME, version=VERSION, name=_name(path), source=source, beside=[*logs[1:], *monitors])
    _take_key(path, imported)
    vendors = sorted({kind_of(one) for one in monitors} - HOST.keys())
    if len(vendors) == 1 and vendors[0] in packages.choices("vendor"):
        imported.case["vendor"] = vendors[0]
    if logs:
        _take_log(read_rank_log(logs[0]), imported)
    take_monitors(monitors, imported, nodes=max(1, len(nodes)))
    if len(nodes) > 1:
        imported.notes.append(f"Of {len(nodes)} nodes, the figures are those that rank 0 of node 0 logged.")
    return [imported]


def _node_folders(path: Path) -> list[Path]:
    """The nodes of a round, in their order; a node's own folder is the only one."""
    if _rank_logs(path):
        return [path]
    found = {int(match[1]): one for one in path.iterdir() if one.is_dir() and (match := _NODE.fullmatch(one.name))}
    return [found[index] for index in sorted(found) if _rank_logs(found[index])]


def _rank_logs(folder: Path) -> list[Path]:
    found = {int(match[1]): one for one in folder.iterdir() if (match := RANK_LOG.fullmatch(one.name))}
    return [found[rank] for rank in sorted(found)]


def _main_logs(nodes: list[Path]) -> list[Path]:
    """The first rank's log of each node: each node's first rank writes FINISHED, and node 0's counts."""
    return [_rank_logs(node)[0] for node in nodes]


def _monitors(nodes: list[Path]) -> list[Path]:
    return [path for node in nodes for path in sorted(node.glob(f"*{ENDING}"))]


def _case_key(path: Path) -> re.Match[str] | None:
    for folder in [path, *path.resolve().parents][: _UP + 1]:
        if match := _KEY.fullmatch(folder.name):
            return match
    return None


def _name(path: Path) -> str:
    resolved = path.resolve()
    key = _case_key(path)
    if key is None:
        return resolved.name
    after = resolved.parts[[*resolved.parts].index(key[0]) + 1 :]
    return "_".join([key[0].replace(":", "_"), *after])


def _take_key(path: Path, imported: Imported) -> None:
    """What the case's key tells; its hardware is a part of a file's name and no chip's."""
    key = _case_key(path)
    if key is None:
        return
    model, framework, hardware, nodes, devices, _ = key.groups()
    plain = framework.partition("_")[0]
    imported.environment |= {"flagperf_case": key[0], "framework": framework, "hardware": hardware}
    imported.case |= {"model": of_flagperf(model), "devices": int(nodes) * int(devices)}
    if plain in packages.choices("framework"):
        imported.case["framework"] = plain
    if imported.case["model"] is None:
        imported.notes.append(f"No model of this version is FlagPerf's {model}; --set model=NAME says which it is.")
    imported.notes.append(f"The case calls its hardware {hardware}, which names no chip; --set chip=NAME does.")


def _take_log(log: RankLog, imported: Imported) -> None:
    if not log.events and not log.printed:
        raise ConfigurationError(
            f"{log.path} holds no line of FlagPerf ([PerfLog] …, or Tokens/p/s: …): it ended before it logged, or "
            "this is another file."
        )
    if log.broken:
        imported.notes.append(f"{log.broken} event lines of the log are cut off and were not read.")
    finished = log.values("FINISHED")
    imported.case["task"] = "converge" if finished and "converged" in finished[-1] else "train"
    if finished:
        take_finished(finished[-1], log.values("EVALUATE"), imported)
        if finished[-1].keys() == {"e2e_time"}:
            imported.error = ("NotTrained", "The run only evaluated: its FINISHED event tells no training.")
    elif not log.printed:
        what = "The log has no FINISHED event: the run did not come to its end, or this is not rank 0's log."
        imported.error = ("NotFinished", what)
    _take_printed(log, imported)


def _take_printed(log: RankLog, imported: Imported) -> None:
    """What DeepSpeed's and Megatron's cases print; of Megatron's only the last iteration's time is in it."""
    if not log.printed:
        return
    name = "throughput/tokens_per_second"
    printed = log.printed.get("System tokens per second")
    rate = number_of(printed, what="System tokens per second", source=log.path)
    framework = str(imported.environment.get("framework", "")).partition("_")[0]
    if framework == "deepspeed" and rate is not None:
        imported.values[name] = rate
        imported.notes.append(f"{name} is DeepSpeed's running average over the run's steps.")
    else:
        why = "known of DeepSpeed's cases alone to be an average; Megatron's is of the last iteration"
        imported.missing(name, "System tokens per second", why)
    if "Tokens/p/s" in log.printed:
        imported.drop("Tokens/p/s", "its division by nodes is wrong with several of them")
    if "MFU" in log.printed:
        imported.values["compute/mfu"] = Missing("FlagPerf's counts 7e9 parameters, whatever the model has")
        imported.drop("MFU", "it counts 7e9 parameters, whatever the model has, and no attention")

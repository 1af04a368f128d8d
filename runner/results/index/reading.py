"""Results of thousands of runs: of each a summary, from an index that is kept beside them.

`<root>/.touchstone-index.sqlite` holds what was read of the folders below a root that somebody asked for. It is a
shortcut and decides nothing: every call looks at each run folder, and reads what is new or was changed
(`runner.results.index.contents` says how that is seen). It can be deleted at any time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from runner.core.errors import TouchstoneError
from runner.record.report import CHANGED
from runner.results.find import LEFT_OUT, REPORT, find_runs, load_with_hash
from runner.results.index.contents import Content, ContentKind, Contents, maker_of
from runner.results.index.summary import Summary, from_plain, started_ms_of, summary_of, to_plain

__all__ = ["Facts", "Progress", "Root", "Summary", "facts_of", "read_all", "report_kind", "roots_of", "summaries"]
__all__ += ["summary_of"]

Progress = Callable[[int, int], None]
"""Is told how many files were read, of how many that must be."""


def summaries(paths: Sequence[Path], *, progress: Progress | None = None) -> tuple[list[Summary], list[str]]:
    """The results at and below some paths, each only once, and a sentence for every one that cannot be read.

    A report that was changed after it was written is among both. A killed run's report is made, as by `load_all`.

    Args:
        paths: run folders, their `report.json`, sweep folders or whole outputs roots.
        progress: is called only where reports must be read.

    Raises:
        ConfigurationError: there is no such path, or no run in it.
    """
    found: dict[str, Summary] = {}
    problems: list[str] = []
    with _no_collection():
        for folder, content in read_all(roots_of(paths), report_kind(), progress).items():
            if isinstance(content, TouchstoneError):
                problems.append(f"{LEFT_OUT}{content}")
                continue
            summary = from_plain(json.loads(content.partition("\n")[2]), folder)
            if not summary.intact:
                problems.append(f"{folder}: {CHANGED}. Its figures are not to be trusted; see python -m runner.verify.")
            found.setdefault(summary.digest, summary)
    return list(found.values()), problems


class Root(NamedTuple):
    """Run folders with one index."""

    place: Path
    folders: list[Path]
    whole: bool
    """Whether these are all below it."""


def roots_of(paths: Sequence[Path]) -> list[Root]:
    """The run folders at and below some paths. Those that are named one by one share the index of the folder above.

    Raises:
        ConfigurationError: there is no such path, or no run in it.
    """
    roots: list[Root] = []
    single: dict[Path, Root] = {}
    for path in paths:
        folders = find_runs(path)
        base = path.parent if path.name == REPORT and path.is_file() else path
        if folders != [base]:
            roots.append(Root(base, folders, True))
        elif base.parent in single:
            single[base.parent].folders.append(base)
        else:
            single[base.parent] = Root(base.parent, [base], False)
            roots.append(single[base.parent])
    return roots


def read_all(roots: Sequence[Root], kind: ContentKind, progress: Progress | None = None) -> dict[Path, Content]:
    """What a file of every run folder says, in their order."""
    parts = [Contents(root.place, root.folders, kind, whole=root.whole) for root in roots]
    total, done = sum(part.stale for part in parts), 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    said: dict[Path, Content] = {}
    for part in parts:
        said |= {folder: content for folder, content in part.read(tick).items() if folder not in said}
    return said


def report_kind() -> ContentKind:
    """Reports in two lines: what `facts_of` gives, and the summary."""
    code = ("runner/record", "runner/tasks", "runner/config/division.py")
    own = ("runner/results/find.py", "runner/results/index/reading.py", "runner/results/index/summary.py")
    return ContentKind(name=REPORT, read=_read_report, maker=maker_of(*code, *own))


class Facts(NamedTuple):
    """What decides whether a run must be filed."""

    status: str
    identity: str | None
    """Null where a value of the case was not valid."""
    intact: bool
    digests: list[str]
    """The hash of its content, and where the report is of an earlier schema, that of the migrated content."""


def facts_of(content: str) -> Facts:
    """The facts of a report that was read as `report_kind`."""
    return Facts(*json.loads(content.partition("\n")[0]))


def _read_report(folder: Path) -> str:
    report, digest, intact = load_with_hash(folder)
    summary = summary_of(report, folder, digest=digest, intact=intact, started_ms=started_ms_of(folder))
    digests = list(dict.fromkeys((digest, report.to_dict()["hash"])))
    facts = Facts(report.status, report.case.get("identity", ""), intact, digests)
    return f"{json.dumps(facts)}\n{json.dumps(to_plain(summary))}"


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without looks for garbage: a hundred thousand new objects, none of them garbage, make it look again and again."""
    import gc

    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

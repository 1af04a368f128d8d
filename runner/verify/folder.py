"""Looks through one result folder. Reads only: nothing in it is written or mended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.record.reading import UnreadableFolderError, reading
from runner.record.run_record import RunRecord, read_record
from runner.results.find import REPORT
from runner.results.repeats import repeat_folders
from runner.verify import integrity, publication
from runner.verify.consistency import consistent
from runner.verify.verdict import Check, Verdict, failed, not_applicable


def verify(folder: Path, search_path: Sequence[str] = ()) -> Verdict:
    """Everything there is to say of a run folder.

    Args:
        folder: holds `report.json` and what it was made from.
        search_path: where configuration is kept that is not shipped, as for `hydra.searchpath`.
    """
    try:
        with reading(folder):
            return _verify(folder, search_path)
    except UnreadableFolderError as error:
        text = f"this folder cannot be read: {error.cause}"
        return Verdict(folder=folder, checks=[failed("folder", "integrity", text)])


def _verify(folder: Path, search_path: Sequence[str]) -> Verdict:
    report, checks = integrity.read(folder / REPORT)
    if report is None:
        return Verdict(folder=folder, checks=checks)
    checks += [integrity.files(folder, report), integrity.environment(folder, report)]
    if report.imported:
        text = f"measured by another tool ({report.imported['format']}): nothing here to make the report from"
        checks.append(not_applicable("rebuilt", "integrity", text))
        return Verdict(folder=folder, checks=[*checks, *publication.checks(report)])
    stories, fault = _stories(folder)
    if fault is not None:
        return Verdict(folder=folder, checks=[*checks, fault])
    own, *repeats = stories
    checks.append(integrity.rebuilt(folder, report))
    try:
        checks.append(consistent(repeats or [own]))
    except Exception as error:  # noqa: BLE001 -- events or a trace that nothing can be made of are a finding
        checks.append(failed("events", "integrity", f"cannot be understood: {type(error).__name__}: {error}"))
    checks.append(integrity.divided(folder, own.case, report, search_path))
    return Verdict(folder=folder, checks=[*checks, *publication.checks(report)])


def _stories(folder: Path) -> tuple[list[RunRecord], Check | None]:
    """What the run told and what each of its repeats told, in this order; or why that is not known."""
    try:
        return [read_record(one) for one in (folder, *repeat_folders(folder))], None
    except Exception as error:  # noqa: BLE001 -- YAML, pydantic, numbers in file names: all mean the same
        text = " ".join(str(error).split())[:300]
        return [], failed("case", "integrity", f"run.yaml or the events cannot be read: {text}")

"""What an engine told of a graph that it took in part."""

from __future__ import annotations

from pathlib import Path

from runner.core.events import Name, event_files, read_events
from runner.results.repeats import repeat_folders


def fallbacks_of(run_folder: Path) -> dict[str, str]:
    """Operators, or nodes, that fell back, each with the engine's reason; of repeats, what any of them told."""
    told: dict[str, str] = {}
    for folder in repeat_folders(run_folder) or [run_folder]:
        for path in event_files(folder):
            for event in read_events(path)[0]:
                coverage = event.value.get("coverage") if event.name == Name.COMPILE else None
                if isinstance(coverage, dict):
                    told |= {str(name): str(why) for name, why in (coverage.get("fallbacks") or {}).items()}
    return told

"""What is known of a compiled network only while it is compiled, kept beside it for later runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from hardware.engines.compiled import Coverage
from hardware.precision.evidence import Evidence

NAME = "facts.json"


def write_facts(folder: Path, evidence: Evidence, coverage: Coverage) -> None:
    """Keep both in the folder of what was compiled."""
    (folder / NAME).write_text(json.dumps({"evidence": asdict(evidence), "coverage": asdict(coverage)}) + "\n")


def read_facts(folder: Path) -> tuple[Evidence, Coverage]:
    """What was kept there."""
    kept = json.loads((folder / NAME).read_text())
    return Evidence.read(kept["evidence"]), Coverage(**kept["coverage"])

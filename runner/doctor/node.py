"""`python -m runner.doctor.node VENDOR`: what this node is, as one line of JSON; started on every node by `srun`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runner.cluster.facts import node_facts
from runner.doctor.cluster.nodes import MARK
from runner.doctor.survey import load_spec


def main(arguments: list[str] | None = None) -> int:
    """Find out and print it."""
    (vendor,) = sys.argv[1:] if arguments is None else arguments
    facts = node_facts(load_spec(vendor), Path("outputs"))
    sys.stdout.write(f"{MARK}{json.dumps(facts)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

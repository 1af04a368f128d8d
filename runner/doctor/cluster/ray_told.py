"""`python -m runner.doctor.cluster.ray_told ADDRESS`: what a Ray cluster tells of its nodes, as a line of JSON.

A process of its own: importing Ray takes seconds, and a cluster that is gone is waited for.
"""

from __future__ import annotations

import json
import logging
import sys

from runner.doctor.cluster.ray_cluster import MARK


def main(arguments: list[str] | None = None) -> int:
    """Connect, ask and leave."""
    import ray

    (address,) = sys.argv[1:] if arguments is None else arguments
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    try:
        nodes = [
            {
                "host": node["NodeManagerHostname"],
                "address": node["NodeManagerAddress"],
                "alive": node["Alive"],
                "resources": {name: count for name, count in node["Resources"].items() if not name.startswith("node:")},
            }
            for node in ray.nodes()
        ]
    finally:
        ray.shutdown()
    sys.stdout.write(f"{MARK}{json.dumps(nodes)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m runner.tune`: search the batch size with the highest throughput."""

from __future__ import annotations

import sys

from runner.tuning.command import main

if __name__ == "__main__":
    sys.exit(main())

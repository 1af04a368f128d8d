"""`python -m runner.suite`: list suites, and score a suite's run against a reference system."""

from __future__ import annotations

import sys

from runner.suites.command import main

if __name__ == "__main__":
    sys.exit(main())

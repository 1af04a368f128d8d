"""`python -m runner.sync`: file results in MLflow."""

from __future__ import annotations

import sys

from runner.tools.sync import main

if __name__ == "__main__":
    sys.exit(main())

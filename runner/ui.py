"""`python -m runner.ui`: show results in MLflow's page."""

from __future__ import annotations

import sys

from runner.tools.ui import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m runner.report`: show and compare results."""

from __future__ import annotations

import sys

from runner.tools.report import main

if __name__ == "__main__":
    sys.exit(main())

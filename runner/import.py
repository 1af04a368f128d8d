# ruff: noqa: N999 -- the module is named as its command is
"""`python -m runner.import`: other tools' results as run folders."""

from __future__ import annotations

import sys

from runner.tools.importing import main

if __name__ == "__main__":
    sys.exit(main())

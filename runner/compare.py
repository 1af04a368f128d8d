"""`python -m runner.compare`: which result is faster, by how much, how sure; and the gate."""

from __future__ import annotations

import sys

from runner.tools.compare import main

if __name__ == "__main__":
    sys.exit(main())

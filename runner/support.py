"""`python -m runner.support`: print what is supported."""

from __future__ import annotations

import sys

from runner.tools.support import main

if __name__ == "__main__":
    sys.exit(main())

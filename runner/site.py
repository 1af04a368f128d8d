"""`python -m runner.site`: the leaderboard as a static page."""

from __future__ import annotations

import sys

from runner.tools.site import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m runner`: one case, or with `-m` a sweep of them."""

import sys

from runner.cli import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

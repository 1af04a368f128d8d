"""`python -m runner.manifest`: write the manifest of a case for Kubernetes."""

from __future__ import annotations

import sys

from runner.manifests.command import main

if __name__ == "__main__":
    sys.exit(main())

"""Stands in for Habana's PyTorch bridge; the mode is read when it is imported, as by the real one."""

import os

from habana_frameworks.torch.utils import internal

internal.lazy = os.getenv("PT_HPU_LAZY_MODE", "1") != "0"  # the default of earlier versions

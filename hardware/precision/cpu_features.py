"""What the host's processor computes by itself."""

from __future__ import annotations

from pathlib import Path

FLOAT16 = frozenset({"avx512_fp16", "amx_fp16", "fphp", "asimdhp"})
"""The kernel's names of float16 arithmetic: AVX512-FP16, AMX-FP16 (x86); scalar and vector (Arm)."""


def has_float16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Whether the processor adds and multiplies float16 itself; None where the kernel does not say."""
    if not cpuinfo.is_file():
        return None
    for line in cpuinfo.read_text(errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features"):
            return not FLOAT16.isdisjoint(value.split())
    return None

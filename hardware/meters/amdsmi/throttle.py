"""Why an AMD GPU runs below its clock, from the table of metrics that its driver gives out.

Older chips tell a mask whose bits mean the same on all (`indep_throttle_status`); MI300 and later count for each cause
how long it has held (`…_residency_acc`): a count that has grown since the last look names the cause.
Source: Linux, drivers/gpu/drm/amd/pm/swsmu/inc/amdgpu_smu.h (SMU_THROTTLER_…) and kgd_pp_interface.h (gpu_metrics).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BITS = {
    **dict(enumerate(("PPT0", "PPT1", "PPT2", "PPT3", "SPL", "FPPT", "SPPT", "SPPT_APU"))),
    **dict(enumerate(("TDC_GFX", "TDC_SOC", "TDC_MEM", "TDC_VDD", "TDC_CVIP", "EDC_CPU", "EDC_GFX", "APCC"), 16)),
    **dict(enumerate(("TEMP_GPU", "TEMP_CORE", "TEMP_MEM", "TEMP_EDGE", "TEMP_HOTSPOT", "TEMP_SOC"), 32)),
    **dict(enumerate(("TEMP_VR_GFX", "TEMP_VR_SOC", "TEMP_VR_MEM0", "TEMP_VR_MEM1", "TEMP_LIQUID0"), 38)),
    **dict(enumerate(("TEMP_LIQUID1", "VRHOT0", "VRHOT1", "PROCHOT_CPU", "PROCHOT_GFX"), 43)),
    **dict(enumerate(("PPM", "FIT"), 56)),
}
MASK = "indep_throttle_status"
RESIDENCIES = ("prochot", "ppt", "socket_thm", "vr_thm", "hbm_thm")
VOID = 2**64 - 1


def counts(metrics: Mapping[str, Any]) -> dict[str, int]:
    """How long each cause has held, in the chip's own unit; empty on chips that do not count."""
    told = {name: metrics.get(f"{name}_residency_acc") for name in RESIDENCIES}
    return {name: value for name, value in told.items() if isinstance(value, int) and value != VOID}


def causes(metrics: Mapping[str, Any], before: Mapping[str, int] | None) -> str | None:
    """The causes, joined by `+`; empty when there are none, None when the chip does not tell or has no earlier count.

    Args:
        metrics: what `amdsmi_get_gpu_metrics_info` answers.
        before: `counts` of the last look.
    """
    mask = metrics.get(MASK)
    if isinstance(mask, int) and mask != VOID:
        bits = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
        return "+".join(BITS.get(bit, hex(1 << bit)) for bit in bits)
    now = counts(metrics)
    if not now or not before:
        return None
    return "+".join(name for name in now if now[name] > before.get(name, now[name]))

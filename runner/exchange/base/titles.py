"""The formats by name, and what people call them."""

from __future__ import annotations

TITLES = {
    "flagperf": "FlagPerf",
    "flagperf_table": "FlagPerf README",
    "bytemlperf": "ByteMLPerf",
    "mlperf_summary": "MLPerf Inference",
    "mlperf_log": "MLPerf LoadGen",
    "mllog": "MLPerf MLLOG",
    "inferencex": "InferenceX",
}
"""Name of a format, as `--format` takes it, to its title in sentences: `not in {title}'s output`."""

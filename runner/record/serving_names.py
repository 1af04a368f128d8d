"""The figures of a served model: accuracy, numerics, speed, answers in tokens, cost of compiling."""

from __future__ import annotations

from runner.record.definition import define

ERROR_POWERS = range(-12, 4)
"""Powers of ten of a histogram of errors: of |error| ÷ root mean square of the reference."""
SERVING = (
    define("accuracy/reference", "Accuracy of the fp32 reference", "1"),
    define("accuracy/drop", "Accuracy lost against the reference", "1", "lower"),
    define("accuracy/kept", "Share of the reference's accuracy kept", "1", "higher", form="percent"),
    define("accuracy/gate_passed", "Accuracy gate passed", "bool", "higher", form="yes_no"),
    define("accuracy/samples", "Samples scored", "samples", form="integer"),
    define("numerics/mean_abs", "Numerics, mean absolute error", "1", "lower"),
    define("numerics/max_abs", "Numerics, largest absolute error", "1", "lower"),
    define("numerics/max_rel", "Numerics, largest relative error", "1", "lower"),
    define("numerics/cosine", "Numerics, cosine with the reference", "1", "higher"),
    define("numerics/snr_db", "Numerics, signal to noise", "dB", "higher"),
    define("numerics/passed", "Numerics within the precision's threshold", "bool", "higher", form="yes_no"),
    define("infer/samples_per_second", "Throughput", "{unit}/s", "higher"),
    define("infer/core_samples_per_second", "Throughput, copies excluded", "{unit}/s", "higher"),
    define("infer/steps_per_second", "Denoising steps per second", "steps/s", "higher"),
    define("infer/latency_mean_ms", "Latency, mean", "ms", "lower", same_batch=True),
    define("infer/latency_p50_ms", "Latency, median", "ms", "lower", same_batch=True),
    define("infer/latency_p90_ms", "Latency, 90th percentile", "ms", "lower", same_batch=True),
    define("infer/latency_p99_ms", "Latency, 99th percentile", "ms", "lower", same_batch=True),
    define("infer/requests", "Requests in the window", "requests", form="integer"),
    define("infer/offered_per_second", "Requests offered", "requests/s"),
    define("infer/achieved_per_second", "Requests answered", "requests/s", "higher"),
    define("infer/goodput_per_second", "Requests answered within the SLO", "requests/s", "higher"),
    define("infer/input_tokens_per_second", "Input tokens per second, without padding", "tokens/s", "higher"),
    define("generation/ttft_p50_ms", "Time to first token, median", "ms", "lower", same_batch=True),
    define("generation/ttft_p99_ms", "Time to first token, 99th percentile", "ms", "lower", same_batch=True),
    define("generation/tpot_p50_ms", "Time per output token, median", "ms", "lower", same_batch=True),
    define("generation/itl_p50_ms", "Time between tokens, median", "ms", "lower", same_batch=True),
    define("generation/itl_p99_ms", "Time between tokens, 99th percentile", "ms", "lower", same_batch=True),
    define("generation/tokens_per_second", "Output tokens per second", "tokens/s", "higher"),
    define("generation/prefill_tokens_per_second", "Prompt tokens per second, prefill alone", "tokens/s", "higher"),
    define("generation/decode_tokens_per_second", "Output tokens per second, decoding alone", "tokens/s", "higher"),
    define("generation/decode_mbu", "MBU of decoding alone", "1", "higher", form="percent"),
    define("infer/compile_s", "Compilation", "s", "lower"),
    define("infer/export_s", "Export out of the framework", "s", "lower"),
    define("infer/compile_peak_gib", "Host memory while compiling, peak", "GiB", "lower", highest=True),
    define("infer/engine_mib", "Size of what was compiled", "MiB", "lower"),
    define("infer/coverage", "Share of the graph that the engine took", "1", "higher", form="percent"),
    define("infer/subgraphs", "Pieces the graph was cut into", "subgraphs", "lower", form="integer"),
)

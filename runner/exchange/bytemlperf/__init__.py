"""ByteMLPerf: results of general_perf, llm_perf and micro_perf."""

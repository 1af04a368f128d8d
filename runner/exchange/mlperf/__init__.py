"""MLPerf: results and logs of Inference and Training."""

"""FlagPerf: logs, monitors and README tables."""

"""Which results may be ranked with each other: `runner.comparison.likeness`, under the name that views know it by."""

from runner.comparison.likeness import comparable_key, differing_fields, groups, require_comparable, sort_runs
from runner.comparison.result import RunResult

__all__ = ["RunResult", "comparable_key", "differing_fields", "groups", "require_comparable", "sort_runs"]

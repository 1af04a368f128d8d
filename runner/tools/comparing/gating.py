"""`runner.compare --baseline`: the gate."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from runner.comparison.gate.baseline import BASELINE, Baseline, find_baseline, load_baseline, of_runs
from runner.comparison.gate.cases import gate
from runner.comparison.result import RunResult
from runner.comparison.sources.resolve import Places, resolve
from runner.core.errors import ConfigurationError
from runner.tools.comparing import arguments, writing
from runner.views.comparison.gate import page, verdict
from runner.views.comparison.junit import to_junit
from runner.views.page import screen, to_markdown

ONLY = ("fail_below", "strict", "junit", "summary", "no_history")
"""Options that a comparison does not have."""
_NOT = ("force", "cost_per_hour")


def run(options: argparse.Namespace, runs: Sequence[RunResult], places: Places) -> int:
    """Hold runs to a baseline; the exit code.

    Raises:
        ConfigurationError: an option goes only with a comparison, or there is no such baseline.
    """
    form = writing.form_of(options.format, options.out)
    wrong = [f"--{name.replace('_', '-')}" for name in _NOT if getattr(options, name)]
    if wrong or form == "csv":
        raise ConfigurationError(f"{wrong[0] if wrong else '--format csv'} goes with a comparison, not with a gate.")
    writing.require_free(options.out, overwrite=options.overwrite)
    limits = arguments.limits_of(options.fail_below, arguments.patterns_of(options.figures))
    result = gate(runs, _baseline(options, places), limits)
    made = page(result, strict=options.strict)
    if options.junit is not None:
        writing.put_junit(to_junit(result, strict=options.strict), options.junit)
    if options.summary is not None:
        writing.add_summary(to_markdown(made), options.summary)
    if form == "json":
        writing.put(json.dumps(result.to_dict(strict=options.strict), indent=1) + "\n", options.out)
    else:
        writing.show([made], form, options.out)
    if options.out is not None:
        screen(sys.stderr).print(verdict(result, strict=options.strict), soft_wrap=True)
    return result.exit_code(strict=options.strict)


def _baseline(options: argparse.Namespace, places: Places) -> Baseline:
    """A saved one by its name or file, else any run."""
    name = options.baseline.removeprefix(BASELINE)
    if options.baseline.startswith(BASELINE) or find_baseline(name, options.dir) is not None:
        return load_baseline(name, options.dir)
    try:
        source = resolve(options.baseline, places)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"--baseline {options.baseline}: no baseline in {options.dir}, and no run. {error}"
        ) from None
    return of_runs(source.runs, None if options.no_history else options.root, options.baseline)

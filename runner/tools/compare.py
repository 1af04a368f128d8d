"""`python -m runner.compare RUN…`: which result is faster, by how much, how sure; and the gate of continuous use."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from runner.commandline.language import language_of
from runner.comparison.compared import Comparison, compare
from runner.comparison.cost import parse_prices, speed_of, with_cost
from runner.comparison.joined import grouped
from runner.comparison.likeness import groups, require_comparable
from runner.comparison.result import RunResult
from runner.comparison.sources.resolve import BY, Places, RunSource, resolve
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.messages import speaking, tr
from runner.tools.comparing import arguments, baselines, gating, writing
from runner.views.comparison import export, page
from runner.views.page import screen


def main(argv: list[str] | None = None) -> int:
    """Compare, or hold to a baseline: 0, 1 where the gate fails, or 2 with a paragraph that says what is wrong."""
    given = sys.argv[1:] if argv is None else argv
    saves = given[:1] == ["baseline"]
    options = (arguments.saving() if saves else arguments.comparing()).parse_args(given[1:] if saves else given)
    try:
        with speaking(language_of(options.lang)):
            if saves:
                writing.show([baselines.run(options)], "text", None)
                return 0
            return _gate(options) if options.baseline else _compare(options)
    except TouchstoneError as error:
        screen(sys.stderr).print(str(error), style="red", soft_wrap=True)
        return error.exit_code


def _places(options: argparse.Namespace) -> Places:
    return Places(root=options.root, uri=options.uri, baselines=options.dir)


def _sources(options: argparse.Namespace) -> list[RunSource]:
    texts = [text for text in options.runs if not text.startswith(BY)]
    if not texts:
        raise ConfigurationError("There is nothing to compare: by=KEY says how runs are joined, not which.")
    return [resolve(text, _places(options)) for text in texts]


def _keys(options: argparse.Namespace) -> list[str]:
    told = [text.removeprefix(BY) for text in options.runs if text.startswith(BY)]
    return [key.strip() for text in told for key in text.split(",") if key.strip()]


def _compare(options: argparse.Namespace) -> int:
    wrong = [f"--{name.replace('_', '-')}" for name in gating.ONLY if getattr(options, name)]
    if wrong:
        raise ConfigurationError(
            f"{', '.join(wrong)}: only a gate has this. Say what the runs are held to: --baseline."
        )
    form = writing.form_of(options.format, options.out)
    writing.require_free(options.out, overwrite=options.overwrite)
    sources, keys = _sources(options), _keys(options)
    runs = _unique(run for source in sources for run in source.runs)
    runs = grouped(runs, keys) if keys else runs
    if len(runs) < 2:  # noqa: PLR2004 -- a comparison takes two
        raise ConfigurationError(_single(runs, keys))
    named = bool(keys) or all(source.named for source in sources)
    if named and not options.force:
        require_comparable(runs)
    parts = [runs] if named or options.force else [part for part in groups(runs) if len(part) > 1]
    if not parts:
        require_comparable(runs)  # says in what they differ
    patterns = arguments.patterns_of(options.figures)
    comparisons = [compare(_priced(part, options), options.interval) for part in parts]
    _require_figures(patterns, comparisons)
    problems = [problem for source in sources for problem in source.problems]
    if len(parts) != len(groups(runs)) and not options.force:
        alone = [str(part[0].folder) for part in groups(runs) if len(part) == 1]
        problems.append(tr("Nothing to compare it with: {runs}.", runs=", ".join(alone))) if alone else None
    _write(comparisons, patterns, problems, form, options)
    return 0


def _unique(runs: Iterable[RunResult]) -> list[RunResult]:
    found: dict[str, RunResult] = {}
    for run in runs:
        found.setdefault(str(run.folder), run)
    return list(found.values())


def _single(runs: Sequence[RunResult], keys: Sequence[str]) -> str:
    if keys:
        return (
            f"by={','.join(keys)} makes one group of these runs, {runs[0].folder}: there is nothing to compare it with."
        )
    return (
        f"There is one result, {runs[0].folder}, and nothing to compare it with. Name a second one; its own page is "
        f"shown by: python -m runner.report {runs[0].folder}"
    )


def _priced(runs: list[RunResult], options: argparse.Namespace) -> list[RunResult]:
    if not options.cost_per_hour:
        return runs
    prices, name = parse_prices(options.cost_per_hour, runs), speed_of(runs)
    return [with_cost(run, price, options.currency, name) for run, price in zip(runs, prices, strict=True)]


def _require_figures(patterns: Sequence[str], comparisons: Sequence[Comparison]) -> None:
    import difflib
    from fnmatch import fnmatchcase

    have = {name for one in comparisons for name in one.figures}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in have):
            near = difflib.get_close_matches(pattern, sorted(have), n=1, cutoff=0)
            raise ConfigurationError(
                f"--figures {pattern}: no such figure in these runs. Nearest: {near[0] if near else 'none'}."
            )


def _write(
    comparisons: list[Comparison],
    patterns: Sequence[str],
    problems: Sequence[str],
    form: str,
    options: argparse.Namespace,
) -> None:
    if form in ("csv", "json"):
        for problem in problems:
            screen(sys.stderr).print(problem, style="yellow", soft_wrap=True)
        kept = [page.chosen(one, patterns) for one in comparisons]
        writing.put(export.to_csv(kept) if form == "csv" else export.to_json(kept), options.out)
    else:
        pages = [page.page(one, patterns, () if index else problems) for index, one in enumerate(comparisons)]
        writing.show(pages, form, options.out)
    if options.out is not None:
        screen(sys.stderr).print(tr("Wrote {file}.", file=options.out), soft_wrap=True)


def _gate(options: argparse.Namespace) -> int:
    if _keys(options):
        raise ConfigurationError(
            "by= goes with a comparison, not with a gate, which judges new runs of one case together."
        )
    sources = _sources(options)
    for problem in (problem for source in sources for problem in source.problems):
        screen(sys.stderr).print(problem, style="yellow", soft_wrap=True)
    return gating.run(options, _unique(run for source in sources for run in source.runs), _places(options))

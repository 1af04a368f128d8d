"""`runner.compare baseline save|list|show`."""

from __future__ import annotations

import argparse
from collections import Counter

from runner.comparison.gate.baseline import Baseline, list_baselines, load_baseline, of_runs, save_baseline
from runner.comparison.gate.kinds import title_of
from runner.comparison.gate.measured import MeasuredRun
from runner.comparison.gate.noise import learn
from runner.comparison.gate.undisturbed import DEFINITIONS
from runner.comparison.main_figure import main_figure
from runner.comparison.result import known
from runner.comparison.sources.resolve import Places, resolve
from runner.core.errors import ConfigurationError
from runner.messages import tr
from runner.record.names import number, written
from runner.views.page import NULL, Grid, Page


def run(options: argparse.Namespace) -> Page:
    """Do what is asked for; a page that says it.

    Raises:
        ConfigurationError: the baseline is there already, or is not there, or a run is unfit.
    """
    if options.command == "save":
        return _save(options)
    if options.command == "show":
        baseline = load_baseline(options.name, options.dir)
        made = Page()
        made.note(tr("Baseline {name}, saved {made}", name=baseline.name, made=baseline.made), "title")
        _add(made, baseline)
        return made
    return _list(options)


def _save(options: argparse.Namespace) -> Page:
    places = Places(root=options.root, uri=options.uri, baselines=options.dir)
    sources = [resolve(text, places) for text in options.runs]
    problems = [problem for source in sources for problem in source.problems]
    if problems:
        raise ConfigurationError(f"{' '.join(problems)} Leave it out of the baseline.")
    runs = list({run.folder.resolve(): run for source in sources for run in source.runs}.values())
    baseline = of_runs(runs, None if options.no_history else options.root, options.name)
    path = save_baseline(baseline, options.dir, force=options.force)
    made = Page()
    made.note(tr("Saved {path}: {count} runs.", path=path, count=len(runs)), "good")
    _add(made, baseline)
    return made


def _add(made: Page, baseline: Baseline) -> None:
    rows = []
    counts = Counter(one.kind for one in baseline.measured)
    for kind, count in counts.items():
        places = [index for index, one in enumerate(baseline.measured) if one.kind == kind]
        reports = [baseline.runs[index].report for index in places]
        own = [baseline.measured[index] for index in places]
        past = [one for one in baseline.past if one.kind == kind]
        name = main_figure(reports)
        row = [title_of(reports[0]), str(count), str(len(past))]
        if name is None:
            rows.append([*row, NULL, NULL, NULL, NULL])
            continue
        value = sum(report.figures[name].value or 0.0 for report in reports) / count
        shown = " ".join(written(value, reports[0].figures[name].unit, known(name, reports[0]).form)).strip()
        closer = next((one for one in DEFINITIONS if any(one in each.values for each in own)), None)
        best = _noise(own, past, closer) if closer else NULL
        rows.append([*row, name, shown, _noise(own, past, name), best])
    header = [tr("Case"), tr("Runs"), tr("Earlier"), tr("Figure"), tr("Mean"), tr("Noise"), tr("Undisturbed")]
    made.blocks.append(Grid(header=header, rows=rows, right=frozenset({1, 2, 4, 5, 6})))
    made.note(tr("Noise: how far apart two unchanged runs lie here, as a standard deviation of one run; undisturbed: "
                 "of the fastest tenth of the window."))  # fmt: skip


def _noise(own: list[MeasuredRun], past: list[MeasuredRun], name: str) -> str:
    values = [one.values[name] for one in (*own, *past) if name in one.values]
    count = min((len(one.values[name]) for one in own if name in one.values), default=0)
    found = learn(values, values, count=count) if count else None
    return NULL if found is None else f"{number(100 * found.relative, 2)} %"


def _list(options: argparse.Namespace) -> Page:
    made = Page()
    paths = list_baselines(options.dir)
    if not paths:
        made.note(tr("{folder} holds no baseline.", folder=options.dir))
        return made
    rows = []
    for path in paths:
        try:
            one = load_baseline(path.stem, options.dir)
        except ConfigurationError as error:
            rows.append([path.stem, NULL, NULL, str(error)])
            continue
        titles = dict.fromkeys(title_of(run.report) for run in one.runs)
        rows.append([path.stem, one.made, str(len(one.runs)), ", ".join(titles)])
    header = [tr("Name"), tr("Saved"), tr("Runs"), tr("Cases")]
    made.blocks.append(Grid(header=header, rows=rows, right=frozenset({2})))
    return made

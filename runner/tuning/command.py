"""`python -m runner.tune KEY=VALUE … --batch 1..512`: run batch sizes until the fastest is known."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from runner.cli import with_vendor
from runner.commandline.arguments import read_arguments
from runner.commandline.explain import USER_ERRORS, explain
from runner.commandline.language import language_of
from runner.config import resolvers
from runner.config.compose import composing
from runner.config.plan import Planned, plan
from runner.config.search_path import take_search_path
from runner.core.errors import ConfigurationError, DependencyError, InterruptedRunError, OutOfMemoryError
from runner.core.interrupts import Interrupts
from runner.launch.batch_case import batch_of, key_of, section_of
from runner.launch.folder import claim_sweep
from runner.launch.processes import start_server
from runner.launch.submit import refusal
from runner.messages import speaking
from runner.record.task import task_of
from runner.tracking import close_sweep, declare_sweep
from runner.tuning.result import page, save_chart
from runner.tuning.run import TrialRunner
from runner.tuning.trials import FILE, Found, search
from runner.views.page import WIDTH, screen, to_rich

PACKAGE = "optuna"


def main(argv: list[str] | None = None) -> int:
    """Search; returns the exit code: 0 where a batch size was found, else that of what went wrong."""
    options = _parser().parse_intermixed_args(argv)
    try:
        with speaking(language_of(None)):
            return _tune(options)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return InterruptedRunError.exit_code
    except USER_ERRORS as error:
        sys.stderr.write(f"Error: {explain(error)}\n")
        return getattr(error, "exit_code", ConfigurationError.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner.tune",
        description="Search the batch size with the highest throughput. Every trial is an ordinary run.",
        epilog="Example: python -m runner.tune model=resnet50 precision=bf16 --batch 16..512",
    )
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="the case; tuning.memory_limit_gib=N, too")
    parser.add_argument("--batch", metavar="LOW..HIGH", default="1..512", help="of one device; default: 1..512")
    parser.add_argument("--trials", metavar="N", type=int, default=12, help="batch sizes that are run, at most")
    parser.add_argument("--figure", metavar="NAME", help="what is to be high; default: the task's throughput")
    return parser


def _tune(options: argparse.Namespace) -> int:
    if find_spec(PACKAGE) is None:
        raise DependencyError("The search needs the Python package optuna: pip install 'touchstone[tuning]'.")
    low, high = _range(options.batch)
    if options.trials < 1:
        raise ConfigurationError(f"--trials {options.trials} must be at least 1.")
    planned = _planned(options.overrides)
    case = planned.case
    assert case is not None
    found = Found(
        key=key_of(case),
        figure=_figure(planned, options.figure),
        unit="",
        low=low,
        high=high,
        memory_limit_gib=case.tuning.memory_limit_gib,
    )
    folder = claim_sweep(planned.sweep_folder())
    declare_sweep(folder, f"tune {case.name} {folder.name}")
    start_server()
    with Interrupts() as interrupts:
        runner = TrialRunner(planned=planned, folder=folder, found=found, interrupts=interrupts)
        search(found, runner.run, folder, trials=options.trials, first=batch_of(case), seed=case.seed)
    _show(found, planned, folder, typed=options.overrides)
    close_sweep(folder, uri=case.tracking.uri)
    return _exit_code(found)


def _range(text: str) -> tuple[int, int]:
    low, dots, high = text.partition("..")
    if not (dots and low.isdigit() and high.isdigit() and 1 <= int(low) <= int(high)):
        raise ConfigurationError(f"--batch {text}: write two numbers from 1 on, the smaller one first: --batch 1..512")
    return int(low), int(high)


def _planned(overrides: list[str]) -> Planned:
    """The case, composed and checked.

    Raises:
        ConfigurationError: it is not valid, cannot be run here, or has no batch size.
    """
    resolvers.register()
    read = read_arguments(overrides)
    if read.flags or read.sweep:
        raise ConfigurationError("runner.tune takes KEY=VALUE and its own options (--help), and one case.")
    take_search_path(read.overrides)
    added = with_vendor(read.overrides)[len(read.overrides) :]
    with composing():
        (one,) = plan(read, added)
    if one.case is None:
        raise one.error or AssertionError("an invalid case has an error")
    if one.case.tuning.auto_batch:
        raise ConfigurationError("tuning.auto_batch=true is another search: leave it out here.")
    if not task_of(one.case).on_device or section_of(one.case) is None:
        raise ConfigurationError(f"task={one.case.task.name} has no batch size to search.")
    if (error := refusal(one.case, one.division)) is not None:
        raise error
    return replace(one, overrides=tuple(read.overrides))


def _figure(planned: Planned, asked: str | None) -> str:
    """What is to be high.

    Raises:
        ConfigurationError: the task has no such figure, or more of it is no advantage.
    """
    case = planned.case
    assert case is not None
    task = task_of(case)
    names = task.figure_names(task.metrics(case))
    if asked is None:
        about = {"load": case.load.name}
        generates = task.serves and case.model.infer is not None and case.model.infer.generation is not None
        for name in task.main_figures(about):
            if (
                name in names
                and task.definition(name).better == "higher"
                and (generates or not name.startswith("generation/"))
            ):
                return name
    if asked is None or asked not in names or task.definition(asked).better != "higher":
        good = [name for name in names if task.definition(name).better == "higher"]
        raise ConfigurationError(f"--figure {asked}: choose one of {', '.join(good)}.")
    return asked


def _show(found: Found, planned: Planned, folder: Path, *, typed: list[str]) -> None:
    on = screen()
    on.print()
    on.print(to_rich(page(found, typed), width=max(WIDTH, on.width)))
    pictures = save_chart(found, planned, folder)
    on.print(f"Every trial  {folder / FILE}", soft_wrap=True)
    for picture in pictures:
        on.print(f"Picture      {picture}", soft_wrap=True)


def _exit_code(found: Found) -> int:
    if any(trial.state == "interrupted" for trial in found.trials):
        return InterruptedRunError.exit_code
    if found.best is not None:
        return 0
    memory = all(trial.state == "out of memory" for trial in found.trials)
    return OutOfMemoryError.exit_code if memory else max(trial.exit_code for trial in found.trials)

"""`python -m runner.acceptance [KEY=VALUE …]`: burn-in of this node, judged; `--fleet FOLDER …` judges several."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from runner.acceptance.burn_in import burn_in, subjects_of
from runner.acceptance.judge import Acceptance, Limits, judge
from runner.acceptance.page import as_values, page
from runner.acceptance.plan import AcceptancePlan, make_acceptance_plan
from runner.acceptance.readings import BurnedIn, load_subjects, save_subjects
from runner.commandline.explain import USER_ERRORS, explain
from runner.commandline.language import language_of
from runner.core.errors import ConfigurationError, GateMissedError, InterruptedRunError
from runner.messages import LANGUAGES, speaking
from runner.views.page import WIDTH, screen, to_markdown, to_rich

RESULT, TABLE = "result.json", "result.md"
DEFAULT = Limits()
Burn = Callable[[AcceptancePlan, Path, Callable[[str], None]], list[BurnedIn]]


def main(argv: list[str] | None = None, *, burn: Burn = burn_in) -> int:
    """Measure and judge, or judge alone.

    Args:
        argv: the arguments.
        burn: measures a node; another one in tests.

    Returns:
        0 accepted, 8 not accepted, 130 interrupted, else the cause's where nothing could be measured.
    """
    options = _parser().parse_intermixed_args(argv)
    try:
        limits = Limits(slower=options.slower, least_compute=options.compute, least_memory=options.memory)
        with speaking(language_of(options.lang)):
            if options.fleet:
                return _fleet(options, limits)
            return _node(options, limits, burn)
    except USER_ERRORS as error:
        sys.stderr.write(f"Error: {explain(error)}\n")
        return getattr(error, "exit_code", ConfigurationError.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner.acceptance",
        description="Burn-in of a delivered machine: every device runs the same short cases for a while, all at a "
        "time; each is held against its data sheet and against the others.",
        epilog="Several nodes: run it on each, then: python -m runner.acceptance --fleet outputs/burn_in/*",
    )
    parser.add_argument(
        "overrides", metavar="KEY=VALUE", nargs="*", help="vendor, topology.devices, model, precision, scale, run.root"
    )
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N", help="of each device; default: 30")
    parser.add_argument(
        "--fleet", nargs="+", type=Path, metavar="FOLDER", help="measure nothing: judge what nodes left, together"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="with --fleet: where result.json and result.md go")
    parser.add_argument("--slower", type=_share, default=DEFAULT.slower, metavar="SHARE", help="default: 0.05")
    parser.add_argument("--compute", type=_share, default=DEFAULT.least_compute, metavar="SHARE", help="default: 0.5")
    parser.add_argument("--memory", type=_share, default=DEFAULT.least_memory, metavar="SHARE", help="default: 0.6")
    parser.add_argument("--json", action="store_true", help="print result.json instead of tables")
    parser.add_argument(
        "--lang", metavar="LANGUAGE", help=f"{' or '.join(LANGUAGES)}; default: TOUCHSTONE_LANG, else en"
    )
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise ValueError(text)
    return value


def _node(options: argparse.Namespace, limits: Limits, burn: Burn) -> int:
    plan = make_acceptance_plan(options.overrides, minutes=options.minutes)
    folder = plan.claim()
    on, began_s = screen(sys.stderr if options.json else None), time.monotonic()

    def say(text: str) -> None:
        on.print(f"[{time.monotonic() - began_s:7.1f} s] {text}", soft_wrap=True)

    vendor = plan.single.case.vendor
    on.print(f"acceptance of {plan.devices} x {vendor.title}, {plan.minutes:g} min each, all at a time", style="bold")
    on.print(f"  training   {plan.training.name}\n  folder     {folder}", soft_wrap=True)
    interrupted = False
    try:
        subjects = burn(plan, folder, say)
    except KeyboardInterrupt:
        interrupted, subjects = True, subjects_of(plan, folder)
    save_subjects(folder, subjects)
    made = judge(subjects, limits)
    _write(made, folder)
    _show(made, folder, as_json=options.json)
    if interrupted:
        sys.stderr.write("Interrupted: what was measured so far is judged.\n")
        return InterruptedRunError.exit_code
    return _exit_code(made)


def _fleet(options: argparse.Namespace, limits: Limits) -> int:
    if options.overrides:
        raise ConfigurationError(f"--fleet measures nothing: leave {' '.join(options.overrides)} out.")
    folders = list(dict.fromkeys(options.fleet))
    subjects = [one for folder in folders for one in _named_apart(folder, folders)]
    made = judge(subjects, limits)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        _write(made, options.out)
    _show(made, options.out, as_json=options.json)
    return _exit_code(made)


def _named_apart(folder: Path, folders: list[Path]) -> list[BurnedIn]:
    """What a node left; two folders of one node are told apart by their names."""
    own = load_subjects(folder)
    others = {one.node for other in folders if other != folder for one in load_subjects(other)}
    for one in own:
        one.node = folder.name if one.node in others else one.node
    return own


def _write(made: Acceptance, folder: Path) -> None:
    (folder / RESULT).write_text(json.dumps(as_values(made), indent=1, allow_nan=False) + "\n")
    (folder / TABLE).write_text(to_markdown(page(made)))


def _show(made: Acceptance, folder: Path | None, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(as_values(made), indent=1, allow_nan=False) + "\n")
        return
    on = screen()
    on.print()
    on.print(to_rich(page(made), width=max(WIDTH, on.width)))
    if folder is not None:
        on.print()
        on.print(f"Result       {folder / RESULT}", soft_wrap=True)


def _exit_code(made: Acceptance) -> int:
    """Where nothing at all was measured, the cause's: that is no judgement of what was delivered."""
    if made.accepted:
        return 0
    if not any(one.figures for one in made.verdicts):
        return max((one.subject.exit_code for one in made.verdicts), default=0) or GateMissedError.exit_code
    return GateMissedError.exit_code


if __name__ == "__main__":
    sys.exit(main())

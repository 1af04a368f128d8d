"""The arguments of `runner.compare`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from runner.comparison.gate.cases import DEFAULT, GateLimits
from runner.core.errors import ConfigurationError
from runner.messages import LANGUAGES
from runner.tools.comparing.writing import FORMATS

_DESCRIPTION = """\
Compare results: which is faster, by how much, and how sure that is.

RUN is a run folder, its report.json, a folder of many runs, the beginning of a run's name or MLflow id, a filter such
as "model=bert and precision=bf16", published:MODEL/CHIP, or baseline:NAME. by=KEY joins the runs of each value of a key
of the case, e.g. by=vendor.

With --baseline it is a gate: exit code 1 when a figure is worse than is allowed.
    baseline save NAME RUN…   keep results that later ones are held to
    baseline list | show NAME"""


def comparing() -> argparse.ArgumentParser:
    """Those of a comparison and of a gate."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.compare",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="see above; and by=KEY[,KEY]")
    parser.add_argument("--force", action="store_true", help="show unlike runs side by side, without an answer")
    parser.add_argument("--figures", metavar="NAME", help="only these, names or patterns with *, parted by commas")
    parser.add_argument(
        "--interval", choices=("welch", "bootstrap"), default="welch", help="how it is made; default: welch"
    )
    parser.add_argument(
        "--cost-per-hour", metavar="RUN=PRICE", help="of the whole system, e.g. 1=2.5,2=4 or nvidia=2.5"
    )
    parser.add_argument("--currency", metavar="NAME", default="USD", help="of --cost-per-hour; default: USD")
    _add_output(parser)
    _add_places(parser)
    gate = parser.add_argument_group("gate")
    gate.add_argument("--baseline", metavar="NAME", help="a baseline, or any RUN, that the runs are held to")
    gate.add_argument(
        "--fail-below",
        metavar="RATIO",
        action="append",
        help=f"a loss beyond new/baseline = RATIO fails, better is above 1; or FIGURE=RATIO; default: {DEFAULT}",
    )
    gate.add_argument(
        "--strict", action="store_true", help="fail, too, where the noise hides the loss that is asked for"
    )
    gate.add_argument("--no-history", action="store_true", help="learn no noise from earlier runs below --root")
    gate.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML")
    gate.add_argument(
        "--summary", metavar="FILE", type=Path, help="add a summary in Markdown, e.g. $GITHUB_STEP_SUMMARY"
    )
    return parser


def saving() -> argparse.ArgumentParser:
    """Those of `baseline`."""
    parser = argparse.ArgumentParser(prog="python -m runner.compare baseline", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    save = commands.add_parser("save", help="keep results that later ones are held to")
    save.add_argument("name", metavar="NAME")
    save.add_argument(
        "runs", metavar="RUN", nargs="+", help="as of runner.compare; five or more of a case tell the noise"
    )
    save.add_argument("--force", action="store_true", help="replace a baseline of this name")
    save.add_argument("--no-history", action="store_true", help="learn no noise from earlier runs below --root")
    show = commands.add_parser("show", help="what a baseline holds")
    show.add_argument("name", metavar="NAME")
    for command in (save, show, commands.add_parser("list", help="the baselines there are")):
        _add_places(command)
        command.add_argument(
            "--lang", metavar="LANGUAGE", help=f"{' or '.join(LANGUAGES)}; default: TOUCHSTONE_LANG, else en"
        )
    return parser


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=FORMATS, help="default: by the ending of --out, else text")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write to a file instead of the screen")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --out")
    parser.add_argument(
        "--lang", metavar="LANGUAGE", help=f"{' or '.join(LANGUAGES)}; default: TOUCHSTONE_LANG, else en"
    )


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", metavar="FOLDER", type=Path, default=Path("outputs"), help="where runs are looked for"
    )
    parser.add_argument("--uri", metavar="ADDRESS", help="of the MLflow store; default: the local one below --root")
    parser.add_argument("--dir", metavar="FOLDER", type=Path, default=Path("baselines"), help="of the baselines")


def patterns_of(text: str | None) -> tuple[str, ...]:
    """`--figures`."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def limits_of(given: list[str] | None, figures: tuple[str, ...]) -> GateLimits:
    """`--fail-below`, once for all figures and once for each that has its own.

    Raises:
        ConfigurationError: a value is no ratio between 0 and 1.
    """
    limits = GateLimits(figures=figures)
    for text in given or []:
        name, _, value = text.rpartition("=")
        ratio = _ratio(value, text)
        if name:
            limits.single[name] = ratio
        else:
            limits.ratio = ratio
    return limits


def _ratio(value: str, text: str) -> float:
    try:
        ratio = float(value)
    except ValueError:
        ratio = math.nan
    if not 0 < ratio < 1:
        raise ConfigurationError(
            f"--fail-below {text}: '{value}' is no ratio between 0 and 1. 0.97 fails on losses of more than 3 %, "
            "whichever way a figure improves."
        )
    return ratio

"""`python -m runner.site PATH … SITE`: a searchable page over all results, for a browser without a network."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from runner.commandline.language import language_of
from runner.comparison.published import published_results
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.messages import tr
from runner.results.index import Summary, summaries, summary_of
from runner.views.page import screen
from runner.views.site.page import site
from runner.views.waiting import waiting

PAGE = "index.html"


@dataclass(kw_only=True, frozen=True)
class Prices:
    """The form of `--prices`: what a device costs per hour, by the chip's name in the catalogue."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    currency: str = ""
    per_device_hour: Mapping[str, float]


def main(argv: list[str] | None = None) -> int:
    """Write the page; returns the exit code: 0, or 2 with a paragraph that says what is wrong."""
    options = _parser().parse_args(argv)
    console = screen(sys.stderr)
    try:
        prices = _prices(options.prices)
        with waiting(tr("Reading results")) as progress:
            found, problems = summaries(options.paths, progress=progress)
        for problem in problems:
            console.print(problem, style="yellow", soft_wrap=True)
        if not options.without_published:
            found += _published(found)
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        page = site(
            found,
            prices=prices.per_device_hour,
            currency=prices.currency,
            made=f"touchstone {version('touchstone')}, {now}",
            first=language_of(options.lang),
        )
        path = _write(options.site, page, force=options.force)
    except TouchstoneError as error:
        console.print(str(error), style="red", soft_wrap=True)
        return error.exit_code
    count = f"{len(found)} result{'' if len(found) == 1 else 's'}"
    console.print(f"Wrote {path}: {count}, {len(page) / 2**20:.1f} MiB. Open it in a browser.", soft_wrap=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.site", description=__doc__)
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="run folders, sweep folders or outputs/")
    parser.add_argument("site", metavar="SITE", type=Path, help="the folder that index.html is written into")
    parser.add_argument(
        "--prices", metavar="FILE", type=Path, help="YAML: currency, and per_device_hour with a price for each chip"
    )
    parser.add_argument("--lang", help="the language that the page opens in: en or zh")
    parser.add_argument("--without-published", action="store_true", help="leave out what others published")
    parser.add_argument("--force", action="store_true", help="replace an index.html that is not of this command")
    return parser


def _prices(path: Path | None) -> Prices:
    """The prices of a file.

    Raises:
        ConfigurationError: it cannot be read, or has another form.
    """
    if path is None:
        return Prices(per_device_hour={})
    try:
        read = TypeAdapter(Prices).validate_python(yaml.safe_load(path.read_text()))
        if any(price <= 0 for price in read.per_device_hour.values()):
            raise ConfigurationError(f"{path}: a price is above 0. Leave out a chip whose price you do not know.")
        return read
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValidationError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{path} is no list of prices. Write for instance:\ncurrency: USD\nper_device_hour:\n  A100-SXM4-80GB: 2"
        ) from error


def _published(found: list[Summary]) -> list[Summary]:
    """What others published for the models of the results; for all models where there is none."""
    named = dict.fromkeys(str(one.case["model"]) for one in found if one.case.get("model"))
    models: list[str | None] = [*named] or [None]
    return [summary_of(one.report, one.folder) for model in models for one in published_results(model)]


def _write(folder: Path, page: str, *, force: bool) -> Path:
    """Write the page in one step.

    Raises:
        ConfigurationError: it cannot be written, or would replace somebody else's page.
    """
    path = folder / PAGE
    try:
        if path.exists() and not force and 'id="results"' not in path.read_text(errors="replace"):
            raise ConfigurationError(f"{path} is another page. Name another folder, or add --force to replace it.")
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".tmp")
        draft.write_text(page, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
    return path

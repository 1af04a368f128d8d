"""`python -m runner.tools.screenshots RUN SET FOLDER`: the pictures in docs/, taken in the system's Chromium."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from runner.core.errors import ConfigurationError, DependencyError, TouchstoneError
from runner.messages import LANGUAGES
from runner.tools import report, site
from runner.tools.mlflow_picture import of_mlflow
from runner.views.page import screen

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Page = Literal["run", "set", "site"]
READY = """() => [...document.querySelectorAll("figure[data-chart]")].every(
  (one) => one.closest("details:not([open])") || ["done", "failed"].includes(one.dataset.drawn))"""
"""In the page: whether every chart that is seen has been drawn."""
_PATIENCE_MS = 60_000
_DESK, _PHONE = (1280, 800), (390, 844)


@dataclass(kw_only=True, slots=True, frozen=True)
class Picture:
    """One screenshot: the first screen of a page."""

    page: Page
    language: str
    dark: bool = False
    phone: bool = False

    @property
    def name(self) -> str:
        """File name."""
        kind = self.page if self.page == "site" else f"report_{self.page}"
        parts = [kind, self.language, "dark" if self.dark else "", "phone" if self.phone else ""]
        return f"{'_'.join(part for part in parts if part)}.png"


def pictures() -> list[Picture]:
    """All that are taken: every page in both languages, and in English the dark ones and those of a phone."""
    pages: tuple[Page, ...] = get_args(Page)
    plain = [Picture(page=page, language=language) for page in pages for language in LANGUAGES]
    dark = [Picture(page=page, language="en", dark=True) for page in pages]
    return [*plain, *dark, *(Picture(page=page, language="en", phone=True) for page in pages)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.tools.screenshots", description="Pictures of reports.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("set", type=Path, help="a folder of several runs")
    parser.add_argument("--mlflow", metavar="ROOT", type=Path, help="also MLflow's page of the runs below it")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs"), help="where to; default: docs")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Take the pictures; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        files = take({"run": options.run, "set": options.set, "site": options.set}, options.folder)
        if options.mlflow is not None:
            with chromium() as browser:
                files.append(of_mlflow(browser, options.mlflow, options.folder / "mlflow_compare.png"))
    except TouchstoneError as error:
        screen(sys.stderr).print(str(error), style="red", soft_wrap=True)
        return error.exit_code
    screen(sys.stderr).print("\n".join(map(str, files)), soft_wrap=True)
    return 0


def take(results: dict[str, Path], folder: Path, wanted: Sequence[Picture] | None = None) -> list[Path]:
    """Write the pages of the results in every language, and a picture of each first screen.

    Raises:
        DependencyError: there is no browser, or no Playwright.
        ConfigurationError: a page could not be written.
    """
    files = []
    with tempfile.TemporaryDirectory() as made, chromium() as browser:
        for picture in wanted or pictures():
            page = _written(Path(made), picture, results[picture.page])
            files.append(_shoot(browser, page, picture, folder / picture.name))
    return files


def _written(folder: Path, picture: Picture, results: Path) -> Path:
    """The page of a picture, written once for each language.

    Raises:
        ConfigurationError: it could not be written.
    """
    place = folder / f"{picture.page}_{picture.language}"
    page = place / "index.html"
    if page.exists():
        return page
    place.mkdir()
    asked = ["--lang", picture.language]
    made = (
        site.main([str(results), str(place), *asked])
        if picture.page == "site"
        else report.main([str(results), "--out", str(page), *asked])
    )
    if made != 0:
        raise ConfigurationError(f"{results}: no page of it could be written.")
    return page


def browser_path() -> str | None:
    """The system's Chromium; null where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium for as long as the block lasts.

    Raises:
        DependencyError: there is no browser, or no Playwright.
    """
    path = browser_path()
    if path is None:
        raise DependencyError(f"There is no Chromium on this machine: none of {', '.join(BROWSERS)} is installed.")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise DependencyError("The Python package 'playwright' is missing: pip install playwright") from None
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root, as in a container.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield opened
        finally:
            opened.close()


def _shoot(browser: Any, page: Path, picture: Picture, file: Path) -> Path:
    width, height = _PHONE if picture.phone else _DESK
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if picture.dark else "light",
        device_scale_factor=2 if picture.phone else 1,
    )
    try:
        opened = context.new_page()
        opened.goto(page.resolve().as_uri())
        opened.wait_for_function(READY, timeout=_PATIENCE_MS)
        opened.screenshot(path=str(file))
    finally:
        context.close()
    return file


if __name__ == "__main__":
    sys.exit(main())

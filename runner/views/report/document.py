"""The whole HTML document: one file that loads nothing, and a policy under which nothing else could run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from runner.messages import language, tr
from runner.views.charts.parts.chart import DARK, LIGHT
from runner.views.page import clean
from runner.views.report.markup import Markup, script_json, tag

_HERE = Path(__file__).parent
_BRIGHTER = {"#0072b2": "#4aa3e0", "#009e73": "#2fc79b", "#d55e00": "#f0803c", "#cc79a7": "#dd94bf"}
"""Colours of the charts on dark paper, where the originals have too little contrast."""


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed (BSD licence) as one script; made once, it takes seconds."""
    import vl_convert

    made: str = vl_convert.javascript_bundle(None)  # type: ignore[arg-type, unused-ignore]
    return f"(function () {{\n{made.replace('</script', '<' + chr(92) + '/script')}\n}})();"


def document(title: str, body: str, *, charts: bool) -> str:
    """A page in the current language.

    Args:
        title: of the window.
        body: HTML.
        charts: whether there are any; without, no script is in the page.
    """
    style = f"{(_HERE / 'style.css').read_text()}{_dark_charts()}"
    scripts = [vega_bundle(), (_HERE / "page.js").read_text()] if charts else []
    config = tag("script", script_json(LIGHT), type="application/json", id="chart-config") if charts else ""
    running = "\n".join(f"<script>{script}</script>" for script in scripts)
    lang = {"zh": "zh-CN"}.get(language(), language())
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(style, scripts))}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(clean(title))}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f"{footer()}\n{config}\n{running}\n</body>\n</html>\n"
    )


def footer() -> Markup:
    """The end of every page."""
    return tag("footer", tr("Made by Touchstone. This file holds everything it shows and loads nothing."))


def _policy(style: str, scripts: list[str]) -> str:
    """Nothing is fetched, and of scripts and styles only these run, whatever a message inside the page contains."""
    allowed = " ".join(_hash(script) for script in scripts) or "'none'"
    parts = ["default-src 'none'", f"script-src {allowed}", f"style-src-elem {_hash(style)}"]
    # Vega writes the font of a text as its style.
    parts += ["style-src-attr 'unsafe-inline'", "base-uri 'none'", "form-action 'none'"]
    return "; ".join(parts)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _dark_charts() -> str:
    """Charts are drawn once, in light colours; on dark paper each colour has its counterpart."""
    pairs = dict(_colours(LIGHT, DARK)) | _BRIGHTER
    rules = "".join(
        f'.chart svg [{part}="{light}"] {{ {part}: {dark}; }}\n'
        for light, dark in pairs.items()
        for part in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme: dark) {{\n{rules}}}\n"


def _colours(light: Mapping[str, Any], dark: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in light.items():
        if isinstance(value, Mapping):
            yield from _colours(value, dark[key])
        elif isinstance(value, str) and value.startswith("#") and value != dark[key]:
            yield value, dark[key]

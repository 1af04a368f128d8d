"""The leaderboard as one HTML file: data, style and script inside, nothing loaded, nothing else allowed to run."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from runner.comparison.result import UNSTATED
from runner.core.statistics import t_quantile
from runner.messages import LANGUAGES, Language, speaking, tr
from runner.results.index import Summary
from runner.views.site.rows import FACETS, rows_of

FREEDOM = 200
"""Degrees of freedom up to which the page knows Student's quantiles."""


def site(
    summaries: Sequence[Summary], *, prices: Mapping[str, float], currency: str, made: str, first: Language
) -> str:
    """The page.

    Args:
        summaries: results, and published figures as such.
        prices: of a device per hour, by chip.
        currency: of the prices, for people.
        made: when and by which version.
        first: the language that the page opens in.
    """
    found = rows_of(summaries, prices)
    words: dict[str, Any] = {
        "titles": found.titles.in_every_language(),
        "reasons": found.reasons.in_every_language(recorded=True),
        "names": {language: _names(language) for language in LANGUAGES},
        "first": first,
    }
    words |= {language: _words(language, currency) for language in LANGUAGES}
    quantiles = [round(t_quantile(freedom), 6) for freedom in range(1, FREEDOM + 1)]
    data = {"rows": found.rows, "words": words, "quantiles": quantiles, "facets": FACETS, "unstated": UNSTATED}
    script, style = _file("site.js"), _file("site.css")
    return Template(_file("site.html")).substitute(
        policy=f"default-src 'none'; script-src 'sha256-{_digest(script)}'; style-src 'unsafe-inline'; base-uri 'none'",
        style=style,
        script=script,
        data=_embedded(data),
        made=escape(made),
    )


def _file(name: str) -> str:
    return (files("runner.views.site") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(data: Any) -> str:
    """JSON that no text in it can end, whatever a message holds."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _names(language: Language) -> dict[str, str]:
    """Of the facts of a run."""
    with speaking(language):
        return {
            "task": tr("Task"),
            "model": tr("Model"),
            "vendor": tr("Vendor"),
            "chip": tr("Chip"),
            "precision": tr("Precision"),
            "division": tr("Division"),
            "scale": tr("Scale"),
            "origin": tr("Origin"),
            "status": tr("Status"),
            "framework": tr("Framework"),
            "compiler": tr("Compiler"),
            "topology": tr("Topology"),
            "devices": tr("Devices"),
            "batch_size": tr("Batch size"),
            "load": tr("Load"),
            "data": tr("Data"),
            "measure": tr("Measure"),
            "repeats": tr("Repeats"),
            "folder": tr("Run folder"),
            "file": tr("Source"),
        }


def _words(language: Language, currency: str) -> dict[str, str]:
    with speaking(language):
        return {
            "title": tr("Touchstone: results"),
            "count": tr("{found} of {all} results"),
            "search": tr("Search"),
            "filter": tr("Filter"),
            "any": tr("all"),
            "more": tr("Show more"),
            "pick": tr("Compare"),
            "compare": tr("Side by side"),
            "pickmore": tr("Pick a second result to compare with."),
            "against": tr("Ratios are to {first}, with the 95 % interval of the ratio."),
            "unlike": tr(
                "These results must not be compared by a ratio: one of them failed or was emulated, or they differ in:"
            ),
            "once": tr("measured once, chance is not ruled out"),
            "highest": tr("highest of several, no interval"),
            "batch": tr("batch differs"),
            "nodifference": tr("no difference shown"),
            "chosen": tr("{count} chosen: show them side by side"),
            "clear": tr("Clear the comparison"),
            "close": tr("Close"),
            "other_language": "English" if language == "zh" else "中文",
            "legend": tr(
                "A dash is a figure that was not measured; hover it for the reason. Ranges are 95 % intervals over "
                "fresh processes. Bars are drawn among results of the same case. Emulated, imported and published "
                "results are marked and never publishable here."
            ),
            "column_what": tr("Case"),
            "column_system": tr("System"),
            "column_precision": tr("Precision"),
            "column_speed": tr("Speed"),
            "column_mfu": tr("MFU"),
            "column_energy": tr("Energy (J/sample)"),
            "column_cost": tr("{currency} per million samples", currency=currency),
            "column_quality": tr("Quality"),
            "column_status": tr("Status"),
            "status_done": tr("done"),
            "status_failed": tr("failed"),
            "status_killed": tr("killed"),
            "mark_emulated": tr("EMULATED"),
            "mark_imported": tr("imported"),
            "mark_published": tr("published by others"),
            "mark_open": tr("open division"),
            "mark_changed": tr("changed after it was written"),
            "mark_publishable": tr("publishable"),
            "value_origin_measured": tr("measured here"),
            "value_origin_imported": tr("imported"),
            "value_origin_published": tr("published by others"),
            "value_status_done": tr("done"),
            "value_status_failed": tr("failed"),
            "value_status_killed": tr("killed"),
            **{f"facet_{name}": text for name, text in _names(language).items()},
        }

"""One self-contained HTML page: nothing is loaded from anywhere, plots are inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from runner.views.page import BEST, NULL, UNRANKED, Grid, Note, Page, clean

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --dim: #6e7781; --head: #0b6e8a; --good: #1a7f37; --warn: #8a5a00;
  --error: #b3261e; --paper: #ffffff; --ink: #1f2328; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --dim: #9198a1; --head: #4cc2e0; --good: #4ac26b;
  --warn: #e3b341; --error: #ff8b82; --paper: #0d1117; --ink: #e6edf3; } }
body { font: 15px/1.5 system-ui, sans-serif; background: var(--paper); color: var(--ink); max-width: 75rem;
  margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.5rem 0 .3rem; font-size: 1.3rem; } h3 { margin: 1.6rem 0 .3rem; font-size: 1.05rem; color: var(--head); }
p { margin: .3rem 0; overflow-wrap: anywhere; } li { overflow-wrap: anywhere; }
.plain { white-space: pre-wrap; }
.good { color: var(--good); font-weight: 600; } .mark { color: var(--warn); font-weight: 600; }
.warning { color: var(--warn); } .error { color: var(--error); font-weight: 600; white-space: pre-wrap; }
.scroll { overflow-x: auto; margin: .8rem 0; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; }
th { border-bottom: 1px solid var(--line); }
td { border-bottom: 1px solid color-mix(in srgb, var(--line) 45%, transparent); }
.right { text-align: right; } td.right { white-space: nowrap; } .null { color: var(--dim); }
.best { color: var(--good); font-weight: 600; }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
figure { margin: 1rem 0; } figcaption { color: var(--dim); }
"""
# Nothing may be fetched or executed, whatever a message inside the page contains.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_TAGS = {"title": "h2", "heading": "h3", "item": "li", "warning": "li"}


@dataclass(kw_only=True, slots=True)
class Section:
    """A page and the plots shown below it."""

    page: Page
    plots: list[Path] = field(default_factory=list)


def plots_of(run_folder: Path) -> list[Path]:
    """The plots that a run has left, in the order of their names."""
    return sorted((run_folder / "plots").glob("*.png"))


def to_html(sections: Sequence[Section], *, title: str = "Touchstone report") -> str:
    """The sections as one HTML document.

    Raises:
        OSError: a plot cannot be read.
    """
    body = "\n".join(_section(section) for section in sections)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    parts: list[str] = []
    in_list = False
    for block in section.page.blocks:
        listed = isinstance(block, Note) and _TAGS.get(block.kind) == "li"
        if listed != in_list:
            parts.append("<ul>" if listed else "</ul>")
            in_list = listed
        parts.append(_grid(block) if isinstance(block, Grid) else _note(block))
    parts += ["</ul>"] if in_list else []
    return "\n".join(["<section>", *parts, *(_plot(path) for path in section.plots), "</section>"])


def _note(note: Note) -> str:
    tag = _TAGS.get(note.kind, "p")
    return f'<{tag} class="{note.kind}">{_text(note.text)}</{tag}>'


def _grid(grid: Grid) -> str:
    head = "".join(f"<th{_classes(grid, index, '')}>{_text(cell)}</th>" for index, cell in enumerate(grid.header))
    rows = (
        "<tr>"
        + "".join(f"<td{_classes(grid, index, cell)}>{_text(cell)}</td>" for index, cell in enumerate(row))
        + "</tr>"
        for row in grid.rows
    )
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _classes(grid: Grid, column: int, cell: str) -> str:
    names = ["right"] if column in grid.right else []
    names += ["null"] if cell == NULL or UNRANKED in cell else []
    names += ["best"] if BEST in cell else []
    return f' class="{" ".join(names)}"' if names else ""


def _plot(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    name = _text(path.stem.replace("_", " "))
    return f'<figure><img alt="{name}" src="data:image/png;base64,{data}"><figcaption>{name}</figcaption></figure>'


def _text(text: str) -> str:
    return escape(clean(text))

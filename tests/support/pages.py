"""Reads a page as a browser would, without one: structure, scripts, what would be loaded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

_VOID = ("meta", "img", "br", "link", "input")
_LOADS = ("src", "href", "action", "data", "srcset", "poster")


class ReadPage(HTMLParser):
    """A page taken apart; elements that do not nest are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.lang: str | None = None
        self.policy = ""
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.tags: list[str] = []
        self.scripts: list[str] = []
        """What would run."""
        self.styles: list[str] = []
        self.data: dict[str, Any] = {}
        """JSON inside the page, by the element's id or the chart's name."""
        self.text: list[str] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        assert self._open == [], self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what it is and what it would load."""
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.loads += [found[name] for name in _LOADS if name in found]
        self.handlers += [name for name in found if name.startswith("on")]
        if tag == "html":
            self.lang = found.get("lang")
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in _VOID:
            self._open.append((tag, found))

    def handle_endtag(self, tag: str) -> None:
        """Elements nest."""
        opened = self._open.pop()[0]
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        """Text, by where it stands."""
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "style":
            self.styles.append(data)
        elif tag == "script" and attributes.get("type") == "application/json":
            chart = next((found["data-chart"] for _, found in reversed(self._open) if "data-chart" in found), None)
            self.data[chart or attributes.get("id", "")] = json.loads(data)
        elif tag == "script":
            self.scripts.append(data)
        else:
            self.text.append(data)
            if tag in ("h1", "h2", "h3"):
                self.headings.append(data)
            if any(name in ("td", "th") for name, _ in self._open):
                self.rows[-1][-1] += data

    @property
    def shown(self) -> str:
        """All text, blanks made one."""
        return " ".join(" ".join(self.text).split())

    def allowed(self, directive: str) -> list[str]:
        """The sources of one directive of the policy."""
        found = re.search(rf"(?:^|; ){directive} ([^;]*)", self.policy)
        return found[1].split() if found else []


def source_hash(text: str) -> str:
    """As a policy names an inline script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""One module's messages and recorded sentences, found in its syntax tree."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from runner.messages.catalogue import RECORDED
from runner.messages.forms import forms
from runner.messages.template import FIELD, template, words

REASONS = {
    **{"Missing": (0,), "Impossible": (0,), "known": (1,), "at_most_one": (1,), "Finding": (1,), "_ok_if": (1,)},
}
"""Calls that take a reason, and at which places."""
TITLES = {"define": (1,), "Rule": (0, 1)}
"""Calls that take a message for a `tr` elsewhere."""
SPOKEN = ("Stage",)
"""Enumerations whose values are messages for a `tr` elsewhere."""
_SILENT = re.compile(
    r"add_argument|ArgumentParser|add_parser|add_argument_group|compile|match|fullmatch|search|findall|sub|debug|info"
    r"|getLogger|filterwarnings|tr|tr_recorded|define|Rule"
)
"""Calls whose arguments are no recorded sentences."""
_PATTERN = re.compile(
    r"\b(?:select|insert|create table|delete from) .*\b(?:from|into|exists|where)\b"
    r"|%[sd]|[a-z]+_[a-z]+( [a-z]+_[a-z]+){3}|\\[sSdwb.(\[]|\(\?[P:=!]|\.\*"
    r"|(?m:^import [\w.]+(?:,|$)|^from [\w.]+ import )"
)
"""SQL, log lines, lists of names, regular expressions, programs in Python."""
_PREFIX = re.compile(r"[A-Z][a-z]+(?: [\w{}]+){0,4}: \{\}\.?")
"""What stands before a sentence: `Repeat {}: {}`."""
_LEAST_WORDS = 3
_PLAIN = re.compile(r"(?<!\S)[a-z][a-z'-]*[.,;:!?)]*(?!\S)")
"""A word of plain English: no name, no `key=value`, no path."""
_LEAST_PLAIN = 2
NO_SENTENCES = frozenset(
    {
        *("out of memory", "can't allocate memory", "cannot allocate memory", "failed to map segment"),
        *("no space left on device", "disk quota exceeded", "pytorchstreamwriter failed writing", "disk is full"),
        *("Instantaneous power reading", "Power reading state is", "Could not open device", "sclk clock speed"),
        *("System tokens per second", "Tokens per second (inferred)", "Tokens per second", "No errors encountered"),
        *("Performance constraints satisfied", "Min duration satisfied", "Min queries satisfied"),
        *("Early stopping satisfied", "Inspur and others"),
        *("Memory in use", "Clock of the compute units", "state of another shape"),
        *("Energy by the device's own counter, since an arbitrary start", "how many {} has {} ?"),
        *("Share of time in which the device was busy, 0 to 1", "Summarize this dialog:\n{}\n---\nSummary:\n{}{}"),
        *("Answer: {}", "while resolving interpolation:"),
        "The following are multiple choice questions (with answers) about  {}.",
        "average % utilization of all gpu engines",
        "gpu core temperature",
        "gpu memory used",
        "Mean latency (ns)",
    }
)
"""What reads as a sentence and is a name in another program's output."""


class Source:
    """One module of the source."""

    def __init__(self, path: Path, root: Path, *, recording: bool) -> None:
        self.tree = _parsed(path)
        self.recording = recording
        self.unknown: list[tuple[int, str]] = []
        self._used: set[int] = set()
        self._names: dict[int, dict[str, list[ast.expr]]] = {}
        self._constants = {**_imported(self.tree, root), **_given(self.tree.body)}
        self._inside(self.tree, {})

    def _inside(self, node: ast.AST, names: dict[str, list[ast.expr]]) -> None:
        """Note for every node what the local names of the function around it were given."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = _given(node)
        for child in ast.iter_child_nodes(node):
            self._names[id(child)] = names
            self._inside(child, names)

    def messages(self) -> Iterator[tuple[str, str]]:
        """(context, text) of each, as often as it stands there."""
        silent = set(_silent(self.tree))
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield from self._of_call(node)
            elif isinstance(node, ast.ClassDef) and node.name in SPOKEN:
                members = (one.value for one in node.body if isinstance(one, ast.Assign))
                yield from (("", text) for member in members for text in _strings(member))
        if self.recording:
            # From the outside in, so that parts of a sentence are known as such before they are looked at.
            for node in ast.walk(self.tree):
                if id(node) in silent or id(node) in self._used or not isinstance(node, _TEXT):
                    continue
                for text in self._forms(node):
                    if _is_sentence(text):
                        yield RECORDED, text

    def _of_call(self, call: ast.Call) -> Iterator[tuple[str, str]]:
        called = _called(call)
        if called == "tr" and call.args:
            texts = self._texts_of(call.args[0])
            if not texts and not self._is_dynamic(call.args[0]):
                self.unknown.append((call.lineno, ast.unparse(call)))
            yield from (("", text) for text in texts)
        for place in TITLES.get(called, ()):
            for text in self._forms(call.args[place]) if len(call.args) > place else ():
                yield (RECORDED if FIELD in text else "", text)
        if self.recording:
            for place in REASONS.get(called, ()):
                for text in self._forms(call.args[place]) if len(call.args) > place else ():
                    if _can_be_found(text):
                        yield RECORDED, text

    def _forms(self, node: ast.expr) -> list[str]:
        texts = forms(node, self._names.get(id(node), {}), self._used) or []
        return [text.strip() for text in texts if text.strip()]

    def _is_dynamic(self, node: ast.expr) -> bool:
        """Whether `tr` is given what an object holds, or a parameter `title`: it is collected where it is defined."""
        if isinstance(node, ast.Name) and node.id == "title" and node.id not in self._names.get(id(node), {}):
            return True
        given = self._names.get(id(node), {}).get(node.id, []) if isinstance(node, ast.Name) else [node]
        return bool(given) and all(isinstance(one, ast.Attribute) for one in given)

    def _texts_of(self, node: ast.expr) -> list[str]:
        """The literal messages that an argument of `tr` stands for."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return [node.value]
        if isinstance(node, ast.IfExp):
            return [*self._texts_of(node.body), *self._texts_of(node.orelse)]
        if isinstance(node, ast.BoolOp):
            return [text for value in node.values for text in self._texts_of(value)]
        local = self._names.get(id(node), {})
        texts: list[str] = []
        for name in (one.id for one in ast.walk(node) if isinstance(one, ast.Name)):
            for value in local.get(name, self._constants.get(name, [])):
                if isinstance(value, ast.Name | ast.Subscript | ast.Attribute | ast.Call):
                    inner = [one.id for one in ast.walk(value) if isinstance(one, ast.Name)]
                    values = [given for one in inner for given in self._constants.get(one, [])]
                else:
                    values = [value]
                texts += [text for one in values for text in _strings(one)]
        return texts


_TEXT = (ast.Constant, ast.JoinedStr, ast.BinOp, ast.IfExp)


def _given(scope: ast.AST | list[ast.stmt]) -> dict[str, list[ast.expr]]:
    """What the names of a scope are given; by `for`, the sequence that is gone through."""
    body: Iterable[ast.AST] = scope if isinstance(scope, list) else ast.walk(scope)
    given: dict[str, list[ast.expr]] = defaultdict(list)
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                _take(target, node.value, given)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            _take(node.target, node.value, given)
        elif isinstance(node, ast.For | ast.comprehension):
            for name in (one for one in ast.walk(node.target) if isinstance(one, ast.Name)):
                given[name.id].append(node.iter)
    return dict(given)


def _imported(tree: ast.Module, root: Path) -> dict[str, list[ast.expr]]:
    """The constants that a module takes from others of this source."""
    given: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            path = root.joinpath(*node.module.split(".")).with_suffix(".py")
            there = _given(_parsed(path).body) if path.is_file() else {}
            given |= {one.asname or one.name: there[one.name] for one in node.names if one.name in there}
    return given


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _take(target: ast.expr, value: ast.expr, given: dict[str, list[ast.expr]]) -> None:
    if isinstance(target, ast.Name):
        given[target.id].append(value)
    elif isinstance(target, ast.Tuple):
        values = value.elts if isinstance(value, ast.Tuple) else [value] * len(target.elts)
        for one, own in zip(target.elts, values, strict=False):
            _take(one, own, given)


def _strings(node: ast.expr) -> list[str]:
    """The strings of a constant; of a dictionary, its values alone."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.Dict):
        return [text for value in node.values for text in _strings(value)]
    if isinstance(node, ast.IfExp):
        return [*_strings(node.body), *_strings(node.orelse)]
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [text for value in node.elts for text in _strings(value)]
    return []


def _silent(tree: ast.AST) -> Iterator[int]:
    """The nodes whose texts nobody records: docstrings, and what is given to calls of `_SILENT`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)
        elif isinstance(node, ast.Call) and _SILENT.fullmatch(_called(node)):
            yield from (
                id(inner) for part in [*node.args, *(one.value for one in node.keywords)] for inner in ast.walk(part)
            )
        elif isinstance(node, ast.Dict):
            yield from (id(key) for key in node.keys if key is not None)


def _called(call: ast.Call) -> str:
    return (
        call.func.id
        if isinstance(call.func, ast.Name)
        else call.func.attr
        if isinstance(call.func, ast.Attribute)
        else ""
    )


def _is_sentence(text: str) -> bool:
    if text in NO_SENTENCES or _PATTERN.search(text):
        return False
    if _PREFIX.fullmatch(text):
        return True
    if len(words(text)) < _LEAST_WORDS:
        return False
    return len(_PLAIN.findall(text)) >= _LEAST_PLAIN and _can_be_found(text)


def _can_be_found(text: str) -> bool:
    """Whether a recorded text can be told by its words from any other; a form without words fits everything."""
    return bool(template(text, "").sure_words() if FIELD in text else words(text))

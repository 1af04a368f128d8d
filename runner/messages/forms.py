"""The texts that an expression of the source can yield: literals, f-strings, and the choices between them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product
from string import Formatter

from runner.messages.template import FIELD

_CHOICES = 16
"""Texts of one expression; where there would be more, what is chosen counts as filled in."""
_Names = dict[str, list[ast.expr]]


def forms(node: ast.AST, names: _Names, used: set[int]) -> list[str] | None:
    """Every text that an expression can yield, `{}` where something is filled in; None where it is no text.

    Args:
        node: the expression.
        names: of the function around it, what each local name was given.
        used: gets the `id` of every literal that is a part of what was found.
    """
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, str):
            return None
        used.add(id(node))
        return [_unfilled(node.value)]
    if isinstance(node, ast.IfExp | ast.BoolOp):
        branches = [node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
        found = [forms(branch, names, used) for branch in branches]
        return [text for one in found for text in one or [FIELD]] if any(found) else None
    if isinstance(node, ast.Name):
        given = [forms(value, {}, used) for value in names.get(node.id, [])]
        return [text for one in given for text in one or ()] or None
    if isinstance(node, ast.JoinedStr):
        used.update(id(part) for part in ast.walk(node) if isinstance(part, ast.JoinedStr))
        return _together([_piece(part, names, used) for part in node.values])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        terms = list(_terms(node))
        used.update(id(part) for part in ast.walk(node) if isinstance(part, ast.BinOp))
        if any(isinstance(term, ast.Constant | ast.JoinedStr) for term in terms):
            pieces = [_piece(ast.FormattedValue(term, -1, None), names, used) for term in terms]
            return _together(pieces) if all(_is_text(term) for term in terms) else None
    return None


def _unfilled(text: str) -> str:
    """A literal that `format` fills in later has fields of its own."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return text
    if not any(name for _, name, *_ in parts):
        return text
    return "".join(literal + (FIELD if name is not None else "") for literal, name, *_ in parts)


def _piece(part: ast.expr, names: _Names, used: set[int]) -> list[str]:
    if isinstance(part, ast.Constant):
        used.add(id(part))
        return [str(part.value)]
    if not isinstance(part, ast.FormattedValue) or part.format_spec is not None:
        if isinstance(part, ast.FormattedValue) and part.format_spec is not None:
            used.update(id(inner) for inner in ast.walk(part.format_spec))
        return [FIELD]
    value = part.value
    given = names.get(value.id) if isinstance(value, ast.Name) else None
    if given is not None:
        own: set[int] = set()
        texts = [forms(one, {}, own) for one in given]
        if all(texts):
            used |= own
            return [one for text in texts for one in text or ()]
        return [FIELD]
    return [FIELD] if isinstance(value, ast.Name) else forms(value, names, used) or [FIELD]


def _together(pieces: list[list[str]]) -> list[str]:
    chosen = pieces
    while _number(chosen) > _CHOICES:
        widest = max(range(len(chosen)), key=lambda index: len(chosen[index]))
        chosen = [*chosen[:widest], [FIELD], *chosen[widest + 1 :]]
    return list(dict.fromkeys("".join(one) for one in product(*chosen)))


def _number(pieces: list[list[str]]) -> int:
    total = 1
    for piece in pieces:
        total *= len(piece)
    return total


def _terms(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _terms(node.left)
        yield from _terms(node.right)
    else:
        yield node


def _is_text(node: ast.expr) -> bool:
    return not isinstance(node, ast.List | ast.Tuple | ast.ListComp)

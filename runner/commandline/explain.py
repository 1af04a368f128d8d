"""Turns what Hydra and pydantic say about a bad command line into one paragraph with the nearest valid choice."""

from __future__ import annotations

import re
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from runner.commandline.catalogue import TYPED, choices, keys, nearest, nearest_choice, nearest_key, renamed
from runner.commandline.quoting import shown, without_secrets
from runner.core.errors import TouchstoneError

USER_ERRORS = (HydraException, OmegaConfBaseException, ValidationError, TouchstoneError)
"""What a bad command line can raise; anything else is a defect of the engine and shows its traceback."""
BOUNDS = {
    "greater_than": "must be more than",
    "greater_than_equal": "must be at least",
    "less_than": "must be less than",
    "less_than_equal": "must be at most",
}
"""pydantic's names of what is outside a range."""
_TYPES = frozenset({"int", "float", "str", "bool", "none"})
"""What pydantic appends to a key whose value may be of several types."""


def explain(error: Exception) -> str:
    """One paragraph for the user: what is wrong, the nearest valid choice, what to do."""
    return without_secrets(_explain(error))


def _explain(error: Exception) -> str:
    cause = _root_cause(error)
    if isinstance(cause, TouchstoneError):
        return str(cause)
    if isinstance(cause, ValidationError):
        return _explain_values(cause)
    text = str(cause)
    said = _explain_prefix(text)
    if said is None and (missing := re.search(r"Could not find '([^/']+)/([^']*)'", text)):
        said = _explain_choice(missing[1], missing[2], re.findall(r"^\t([\w-]+)$", text, re.M))
    if said is None and (unknown := _UNKNOWN.search(text)):
        said = _explain_key(next(filter(None, unknown.groups())))
    if said is None and ("mandatory value" in text or "Missing mandatory" in text):
        said = _explain_missing(text)
    said = said or _explain_reference(text) or _explain_file(cause, text)
    return said or f"The command line cannot be understood: {_first_sentence(text)} See: python -m runner --help"


_UNKNOWN = re.compile(
    r"Could not (?:override|append to config\.?|delete from config\.) ?'([^'@]+)|Key '([^']+)' is not in struct"
)


def _explain_reference(text: str) -> str | None:
    """What is wrong with a `${…}` in a value; None when nothing is."""
    place = re.search(r"full_key: *(\S+)", text)
    if place is None:
        return None
    if "RecursionError" in text:
        return f"{place[1]} refers to itself."
    if absent := re.search(r"Interpolation key '([^']*)' not found", text):
        return (
            f"{place[1]} refers to ${{{absent[1]}}}, and {absent[1]} is not a key of the configuration."
            f"{nearest_key(absent[1])}"
        )
    return f"{place[1]}: {_first_sentence(text.partition('while resolving interpolation: ')[2] or text)}"


def _explain_file(cause: BaseException, text: str) -> str | None:
    """Which file of configuration is not laid out as one; None when that is not what is wrong."""
    if (place := re.search(r"In '([^']+)'", text)) is None:
        return None
    inner = cause.__cause__ or cause.__context__
    why = _first_sentence(str(inner)) if inner is not None and str(inner) else "It holds something else."
    return f"{place[1]}.yaml cannot be put into the case. A file of configuration holds lines of KEY: VALUE. {why}"


def _explain_prefix(text: str) -> str | None:
    """What is wrong with a choice, or with a `+` in front of a key; null when nothing is."""
    if re.search(r"interpolation '[^']*\$\{(vendor|model)\}'", text):
        return "vendor and model have one choice each: vendor=NAME model=NAME. A sweep over several needs -m."
    if there := re.search(r"An item is already at '([^']+)'", text):
        return f"{there[1]} is there already: write {there[1]}=VALUE, without +."
    if twice := re.search(r"Multiple values for (\S+?)\.", text):
        return f"{twice[1]} has a choice already: write {twice[1]}=CHOICE, without +."
    return None


def _root_cause(error: BaseException) -> BaseException:
    """The error that says most: ours or pydantic's anywhere in the chain, else the outermost with a text."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    ours = (one for one in chain if isinstance(one, TouchstoneError | ValidationError))
    return next(ours, next((one for one in chain if str(one)), error))


def _explain_choice(group: str, choice: str, found: list[str]) -> str:
    """Args: the group, what was asked of it, and the choices that Hydra found, those of search paths included."""
    known = found or choices(group)
    what = f"{group}={shown(choice)} does not exist." if choice else f"{group}= names no choice."
    return f"{what}{nearest_choice(group, choice, known)} Choices of {group}: {', '.join(known)}."


def _explain_key(key: str) -> str:
    key = key.lstrip("+~").partition("@")[0]
    if (new := renamed(key)) is not None:
        return f"{key} is now called {new}."
    parent = key.rpartition(".")[0]
    siblings = dict.fromkeys(name.rpartition(".")[2] for name in keys() if name.rpartition(".")[0] == parent)
    there = f" Keys there: {', '.join(siblings)}." if siblings else ""
    if "." in key and key in keys() and key.partition(".")[0] in TYPED:
        return f"{key} has no value in this case, where it would be new. Write: +{key}=VALUE"
    if "." in key and key in keys():
        return _explain_foreign(key)
    return f"{shown(key)} is not a key of the configuration.{nearest_key(key)}{there} See: python -m runner --cfg job"


def _explain_foreign(key: str) -> str:
    group = key.partition(".")[0]
    return f"{key} is a key of other choices of {group}; the {group} chosen here has none of that name."


def _explain_values(error: ValidationError) -> str:
    problems: dict[str, list[str]] = {}
    given: dict[str, Any] = {}
    for one in error.errors():
        key = _key_of(one["loc"])
        if one["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            foreign = key in keys() and renamed(key) is None
            problems.setdefault(_explain_foreign(key) if foreign else _explain_key(key), [])
            continue
        problems.setdefault(key, []).append(_message(one))
        given[key] = one["input"]
    return " ".join(_problem(key, messages, given.get(key)) for key, messages in problems.items())


def _problem(key: str, messages: list[str], given: Any) -> str:
    if not messages:
        return key
    value = "" if isinstance(given, dict) or given is None else f" (given: {shown(repr(given))})"
    # A rule over several values names their keys itself.
    joined = " or ".join(dict.fromkeys(messages))
    said = joined if joined.startswith(key) else f"{key}{' ' if joined.startswith('must') else ': '}{joined}"
    return f"{said}{value}."


def _key_of(place: tuple[Any, ...]) -> str:
    parts = [str(part) for part in place]
    return ".".join(part for part in parts if (part.isidentifier() or part.isdigit()) and part not in _TYPES)


def _message(one: Any) -> str:
    text = str(one["msg"]).removeprefix("Value error, ")
    if one["type"] == "literal_error":
        known = [value.strip("'") for value in re.split(r", | or ", one["ctx"]["expected"])]
        return f"must be {' or '.join(known)}.{nearest(str(one['input']), known)}".rstrip(".")
    if one["type"] == "missing":
        return "must be given"
    bound = next(iter(one.get("ctx", {}).values()), None)
    return f"{BOUNDS[one['type']]} {bound:,}" if one["type"] in BOUNDS else text.replace("Input should", "must")


def _explain_missing(text: str) -> str:
    key = (re.search(r"(?:full_key|value): *([\w.]+)", text) or re.search(r"'([\w.]+)'", text) or [None, "a value"])[1]
    hint = " data=dataset needs the folder of the data set: data.root=FOLDER." if key in ("data.root", "root") else ""
    return f"{key} has no value.{hint}"


def _first_sentence(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else "no reason was given"
    first = shown(first)
    return first if first.endswith(".") else f"{first}."

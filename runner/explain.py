"""Turns what Hydra and pydantic say about a bad command line into one paragraph with the nearest valid choice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from runner import packages
from runner.errors import TouchstoneError

CONF = Path(__file__).parent.parent / "conf"
USER_ERRORS = (HydraException, OmegaConfBaseException, ValidationError, TouchstoneError)
"""What a bad command line can raise; anything else is a defect of the engine and shows its traceback."""


def explain(error: Exception, arguments: Sequence[str]) -> str:
    """One paragraph for the user: what is wrong, the nearest valid choice, what to do."""
    cause = _root_cause(error)
    if isinstance(cause, TouchstoneError):
        return f"Error: {cause}"
    if isinstance(cause, ValidationError):
        return f"Error: {_explain_values(cause)}"
    text = str(cause)
    missing = re.search(r"Could not find '([^/']+)/([^']+)'|Could not override '([^'@]+)@?[^']*'\. No match", text)
    if missing and missing.group(1):
        return f"Error: {_explain_choice(missing.group(1), missing.group(2))}"
    unknown = re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if unknown:
        return f"Error: {_explain_key(unknown.group(1))}"
    if "mandatory value" in text or "Missing mandatory" in text:
        return f"Error: {_explain_missing(text)}"
    if (
        "mismatched input" in text
        or "LexerNoViableAlt" in text
        or "no viable alternative" in text
        or "extraneous input" in text
    ):
        return f"Error: {_explain_syntax(text, arguments)}"
    return f"Error: the command line cannot be understood: {_first_sentence(text)} See: python -m runner --help"


def _root_cause(error: BaseException) -> BaseException:
    """The error that says most: ours or pydantic's anywhere in the chain, else the outermost with a text."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    ours = (one for one in chain if isinstance(one, TouchstoneError | ValidationError))
    return next(ours, next((one for one in chain if str(one)), error))


def _explain_choice(group: str, choice: str) -> str:
    choices = packages.choices(group)
    return f"{group}={choice} does not exist.{_nearest(choice, choices)} Choices of {group}: {', '.join(choices)}."


def _explain_key(key: str) -> str:
    key = key.lstrip("+~").partition("@")[0]
    groups = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "__pycache__")
    known = [*groups, *_keys()]
    parent = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    shown = f" Keys there: {', '.join(name.rpartition('.')[2] for name in siblings)}." if siblings else ""
    return f"{key} is not a key of the configuration.{_nearest(key, known)}{shown} See: python -m runner --cfg job"


def _explain_values(error: ValidationError) -> str:
    problems = []
    for one in error.errors():
        key = ".".join(str(part) for part in one["loc"])
        given = f" (given: {one['input']!r})" if not isinstance(one["input"], dict) else ""
        if one["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            problems.append(_explain_key(key))
        else:
            problems.append(f"{key}: {one['msg'].removeprefix('Value error, ')}{given}.")
    return " ".join(problems)


def _explain_missing(text: str) -> str:
    key = (re.search(r"(?:full_key|value): *([\w.]+)", text) or re.search(r"'([\w.]+)'", text) or [None, "a value"])[1]
    hint = " data=dataset needs the folder of the data set: data.root=FOLDER." if key in ("data.root", "root") else ""
    return f"{key} has no value.{hint}"


def _explain_syntax(text: str, arguments: Sequence[str]) -> str:
    culprit = next((argument for argument in arguments if argument in text and argument), " ".join(arguments))
    return f"{culprit!r} is not of the form key=value. Example: model=bert precision=bf16"


def _nearest(word: str, choices: Iterable[str]) -> str:
    near = get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def _keys() -> list[str]:
    """Every dotted key that some choice of some group has."""
    keys: set[str] = set(_flat("", yaml.safe_load((CONF / "config.yaml").read_text())))
    for path in CONF.glob("*/*.yaml"):
        keys |= set(_flat(f"{path.parent.name}.", yaml.safe_load(path.read_text())))
    return sorted(key for key in keys if not key.startswith(("hydra", "defaults", "tuning")))


def _flat(prefix: str, values: Any) -> list[str]:
    if not isinstance(values, dict):
        return []
    return [name for key, value in values.items() for name in (f"{prefix}{key}", *_flat(f"{prefix}{key}.", value))]


def _first_sentence(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else "no reason was given"
    return first if first.endswith(".") else f"{first}."

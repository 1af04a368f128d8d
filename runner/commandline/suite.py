"""`suite=NAME`: a list of cases from one YAML file, run as a sweep.

A suite is no part of any case: it is replaced by its cases before anything is composed, so that the same case is the
same case whether a suite or a person asks for it, and `resume=true` finds it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from models.ranges import Positive
from runner.commandline.arguments import Arguments, read_arguments
from runner.commandline.catalogue import choices, nearest
from runner.core import packages
from runner.core.errors import ConfigurationError

GROUP = "suite"


@dataclass(kw_only=True, slots=True, frozen=True)
class SuiteCase:
    """One line of a suite: a case, or several where it holds lists."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    case: str
    """As on a sweep's command line: `model=bert precision=fp16,bf16`."""
    weight: Positive = 1.0
    """Of each of its cases in the suite's score."""
    figure: str | None = None
    """What its speed is in the score; None: the first that both systems have of those in docs/suites.md."""


def _as_line(value: Any) -> Any:
    return {"case": value} if isinstance(value, str) else value


@dataclass(kw_only=True, slots=True, frozen=True)
class Suite:
    """The typed form of `conf/suite/*.yaml`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    title: str
    """What the list is, for people."""
    cases: tuple[Annotated[SuiteCase, BeforeValidator(_as_line)], ...] = ()
    """Each a text, or `{case, weight, figure}`."""
    reference: str | None = None
    """What its score is against where nothing else is asked for: `published:CHIP`, or a suite's run folder."""
    command: str | None = None
    """What runs it where a list of cases cannot say it; then it has no cases."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The cases' words, a text each."""
        return tuple(line.case for line in self.cases)


@dataclass(kw_only=True, slots=True, frozen=True)
class Asked:
    """One case of a sweep, and where it comes from."""

    overrides: tuple[str, ...]
    """What it is composed from."""
    key: tuple[str, ...]
    """What tells it from the sweep's other cases: the suite's own words for it, or those typed."""
    suite: str | None = None
    weight: float = 1.0
    figure: str | None = None


def expanded(arguments: Arguments) -> Iterator[tuple[str, ...]]:
    """The overrides of each case of a sweep, in the order in which they run; see `asked_cases`."""
    return (one.overrides for one in asked_cases(arguments))


def asked_cases(arguments: Arguments) -> Iterator[Asked]:
    """The cases of a sweep, in the order in which they run.

    What is typed goes before what the suite says: `suite=NAME precision=bf16` runs all its cases in bf16.

    Raises:
        ConfigurationError: there is no such suite, its file is not right, it is run by a command of its own, or a list
            names nothing.
    """
    names = [name for word in arguments.overrides if (name := _suite_of(word)) is not None]
    rest = [word for word in arguments.overrides if _suite_of(word) is None]
    if not names:
        yield from (Asked(overrides=words, key=words) for words in _product(rest))
        return
    typed = {_key(word) for word in rest}
    for name in ",".join(names).split(","):
        suite = load_suite(name)
        if suite.command is not None:
            raise ConfigurationError(
                f"suite={name} is no list of cases. It is run by a command of its own: {suite.command}"
            )
        for line in suite.cases:
            words = read_arguments(["-m", *line.case.split()]).overrides
            for own in _product([word for word in words if _key(word) not in typed]):
                for more in _product(rest):
                    yield Asked(overrides=(*own, *more), key=own, suite=name, weight=line.weight, figure=line.figure)


def load_suite(name: str) -> Suite:
    """The suite of a name.

    Raises:
        ConfigurationError: there is none, or its file is not right.
    """
    path = packages.leaf(GROUP, name)
    if path is None:
        known = choices(GROUP)
        raise ConfigurationError(f"suite={name} does not exist.{nearest(name, known)} Suites: {', '.join(known)}.")
    try:
        suite = TypeAdapter(Suite).validate_python(yaml.safe_load(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigurationError(f"{path}: {where}: {first['msg']}. A suite has name, title and cases.") from error
    if not suite.cases and suite.command is None:
        raise ConfigurationError(f"{path} names no case.")
    return suite


def _suite_of(word: str) -> str | None:
    key, equals, value = word.partition("=")
    return value if equals and key.lstrip("+") == GROUP else None


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _product(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The product of all lists, the last one changing fastest."""
    loader = GlobalHydra.instance().config_loader()
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(words))
    lists: dict[str, list[str]] = {}
    for text, override in zip(words, parsed, strict=True):
        key = override.get_key_element()
        if not override.is_sweep_override():
            lists[key] = [text]
        elif override.is_discrete_sweep():
            lists[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise ConfigurationError(f"{text}: a sweep needs single values. Write them as a list: {key}=1,2,3")
        if not lists[key]:
            raise ConfigurationError(f"This sweep is empty: {text} names nothing.")
    yield from itertools.product(*lists.values())

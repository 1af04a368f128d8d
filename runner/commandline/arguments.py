"""The command line before Hydra sees it: flags may stand anywhere, and each override is read by itself.

So a mistake is blamed on the word that holds it, and never on what the engine added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString, ValueType
from hydra.errors import HydraException

from runner.commandline.catalogue import FOLLOWING, choices, groups, keys, nearest
from runner.commandline.launcher import check_launcher, is_launcher
from runner.commandline.mistakes import stands_alone, unreadable
from runner.commandline.quoting import quoted, shown
from runner.core.errors import ConfigurationError

SWEEP = ("-m", "--multirun")
HELP = ("-h", "--help")
SHOWS = ("job", "hydra", "all")
"""What `--cfg` can show."""
COMPLETION = ("-sc", "--shell-completion")
COMPLETIONS = tuple(f"{what}={one}" for what in ("install", "uninstall", "query") for one in ("bash", "fish", "zsh"))
ALONE = (*SWEEP, "-r", "--run", *HELP, "--hydra-help", "--version", "--resolve", *COMPLETION)
"""Flags without a value."""
WITH_VALUE = ("-c", "--cfg", "-p", "--package")
INFO = ("-i", "--info")
INFO_TOPICS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
NOT_HERE = ("-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir", "--experimental-rerun")
"""Hydra's flags that would replace the engine's own configuration."""
NO_EFFECT = ("hydra/sweeper", "hydra.sweeper", "hydra.mode")
"""Overrides of what the engine does itself."""

LONGEST_NAME = 200
"""Characters of a choice for which a file can be looked for."""


@dataclass(kw_only=True, slots=True)
class Arguments:
    """A command line, sorted."""

    flags: list[str] = field(default_factory=list)
    """What Hydra shall show instead of running: `--help`, `--cfg job` …, each with its value."""
    overrides: list[str] = field(default_factory=list)
    """`key=value`, as typed."""
    parsed: list[Override] = field(default_factory=list)
    """The same, as Hydra reads them."""
    launcher: list[str] = field(default_factory=list)
    """Those of `hydra/launcher` and `hydra.launcher.…`: they are about the whole sweep, and no part of a case."""
    sweep: bool = False
    """`-m`."""


def read_arguments(arguments: Sequence[str]) -> Arguments:
    """Sort flags from overrides and read each override.

    Raises:
        ConfigurationError: a typing mistake; says which word it is in, and what to write.
    """
    found = Arguments()
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            _take_flag(found, word, words)
        else:
            found.overrides.append(word)
    if any(flag in HELP for flag in found.flags):
        # Whoever asks for help in the middle of a sweep gets it.
        found.sweep, found.overrides = False, [word for word in found.overrides if not _has_list(word)]
    if found.sweep and found.flags:
        raise ConfigurationError(f"-m runs a sweep and {found.flags[0]} runs nothing. Leave one of them out.")
    _check_flags(found)
    if not any(flag in (*COMPLETION, "--hydra-help") for flag in found.flags):
        # All words first: `precision=fp32, bf16` is wrong at bf16, not at the comma.
        for index in range(len(found.overrides)):
            if (said := stands_alone(index, found.overrides)) is not None:
                raise ConfigurationError(said)
        found.parsed = [_read(word) for word in found.overrides]
        _check_lists(found)
        _take_launcher(found)
    return found


def _take_launcher(found: Arguments) -> None:
    """Set the words about the launcher apart: no case is composed from them."""
    found.launcher = [word for word in found.overrides if is_launcher(word)]
    check_launcher(found.launcher, sweep=found.sweep)
    kept = [(word, one) for word, one in zip(found.overrides, found.parsed, strict=True) if not is_launcher(word)]
    found.overrides, found.parsed = [word for word, _ in kept], [one for _, one in kept]


def _take_flag(found: Arguments, word: str, rest: list[str]) -> None:
    name, equals, value = word.partition("=")
    if word in SWEEP:
        found.sweep = True
    elif word in ALONE:
        found.flags += [word] if word not in ("-r", "--run") else []
    elif name in WITH_VALUE:
        if not equals and (not rest or "=" in rest[0]):
            what = "what to show, for instance --cfg job" if name in ("-c", "--cfg") else "the name of a group"
            raise ConfigurationError(f"{name} needs {what}.")
        value = value if equals else rest.pop(0)
        if name in ("-c", "--cfg") and value not in SHOWS:
            raise ConfigurationError(f"{name} shows {', '.join(SHOWS)}, not {shown(value)!r}. Write: --cfg job")
        found.flags += [name, value]
    elif name in INFO:
        topic = value if equals else (rest.pop(0) if rest and rest[0] in INFO_TOPICS else "all")
        found.flags.append(f"--info={topic}")
    elif name in NOT_HERE:
        raise ConfigurationError(
            f"{name} is not used here. Configuration of your own is added with 'hydra.searchpath=[file:///FOLDER]'."
        )
    else:
        raise ConfigurationError(_no_flag(word, rest))


def _check_flags(found: Arguments) -> None:
    """Refuse a flag that needs another one, or a word of its own."""
    if "--resolve" in found.flags and not {"-c", "--cfg", *HELP} & {*found.flags}:
        raise ConfigurationError("--resolve belongs to --cfg. Write: --cfg job --resolve")
    if {*COMPLETION} & {*found.flags} and not any(word in COMPLETIONS for word in found.overrides):
        raise ConfigurationError(f"--shell-completion needs one of: {', '.join(COMPLETIONS)}.")


def _has_list(word: str) -> bool:
    """Whether a word names several values; one that cannot be read does not."""
    try:
        return bool(OverridesParser.create().parse_override(word).is_sweep_override())
    except (HydraException, ValueError):
        return False


def _no_flag(word: str, rest: Sequence[str]) -> str:
    key, equals, value = word.lstrip("-").partition("=")
    if key in keys():
        follows = rest[0] if rest and "=" not in rest[0] and not rest[0].startswith("-") else "VALUE"
        right = f"{key}={shown(value if equals else follows)}"
        return f"{shown(word)} is not a flag: values are given as KEY=VALUE, without dashes. Write: {right}"
    # A flag of one letter is like every other one.
    long = [flag for flag in (*ALONE, *WITH_VALUE, *INFO) if flag.startswith("--")]
    near = (nearest(word, long) or nearest(key, keys())) if len(key) > 1 else ""
    return f"There is no flag {shown(word)}.{near} See: python -m runner --help"


def _read(word: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(word)
    except (HydraException, ValueError) as error:
        raise ConfigurationError(unreadable(word, error)) from error
    if not override.key_or_group:
        raise ConfigurationError(f"{shown(word)!r} names no key. Write: KEY=VALUE")
    single = override.value_type != ValueType.SIMPLE_CHOICE_SWEEP
    if single and override.key_or_group in groups() and len(word) > LONGEST_NAME:
        raise ConfigurationError(f"{shown(word)} does not exist. Choices: {', '.join(choices(override.key_or_group))}.")
    _check_choice(word, override)
    if override.key_or_group.startswith(NO_EFFECT):
        raise ConfigurationError(f"{override.key_or_group} has no effect: the engine runs its cases itself; -m sweeps.")
    return override


def _check_choice(word: str, override: Override) -> None:
    """Refuse what is no name as a choice of a group: Hydra would end with a traceback at `topology=8`."""
    if override.key_or_group not in (*groups(), *FOLLOWING) or override.is_delete():
        return
    value = override.value()
    given = value.list if isinstance(value, ChoiceSweep) else [] if override.is_sweep_override() else [value]
    wrong = next((one for one in given if not isinstance(one, str | list | QuotedString)), None)
    if wrong is not None or value is None:
        known = ", ".join(choices(override.key_or_group)) or "VENDOR/MODEL"
        raise ConfigurationError(f"{shown(word)} does not exist. Choices of {override.key_or_group}: {known}.")


def _check_lists(found: Arguments) -> None:
    """Several values need `-m`, and so does a suite; Hydra's own settings have one."""
    for word, override in zip(found.overrides, found.parsed, strict=True):
        if override.key_or_group == "suite" and not found.sweep:
            raise ConfigurationError(f"A suite is a sweep. Add -m: python -m runner -m {shown(word)} …")
        if not override.is_sweep_override():
            continue
        key, _, value = word.partition("=")
        if is_launcher(word):
            raise ConfigurationError(
                f"{shown(word)}: {key} takes one value. A sweep has one launcher for all its cases; make it two sweeps."
            )
        if key.startswith("hydra"):
            raise ConfigurationError(f"{shown(word)}: {key} takes one value.")
        if not found.sweep:
            one = "" if "." not in key else f" One value with a comma in it is quoted: {shown(quoted(key, value))}"
            raise ConfigurationError(
                f"{shown(word)} names several values. Add -m to run a case with each: "
                f"python -m runner -m {shown(word)} …{one}"
            )

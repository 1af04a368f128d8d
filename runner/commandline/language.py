"""`--lang` of a command."""

from __future__ import annotations

from runner.core.errors import ConfigurationError
from runner.messages import Language, chosen


def language_of(argument: str | None) -> Language:
    """The language that `--lang` names, else TOUCHSTONE_LANG, else English.

    Raises:
        ConfigurationError: there is none of that name.
    """
    try:
        return chosen(argument)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None

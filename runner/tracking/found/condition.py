"""One condition of a filter, and how MLflow writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runner.core.errors import ConfigurationError

Kind = Literal["tags", "params", "metrics", "attributes"]
Operator = Literal["=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE"]


@dataclass(kw_only=True, slots=True, frozen=True)
class Condition:
    """For instance: the tag `model` is `bert`. A run that has no such key fits no condition on it."""

    kind: Kind
    key: str
    operator: Operator
    value: str | float

    def mlflow(self) -> str:
        """As MLflow's search takes it: tags.`model` = 'bert'.

        Raises:
            ConfigurationError: MLflow has no way to write the value.
        """
        return f"{self.kind}.`{self.key}` {self.operator} {self._quoted()}"

    def _quoted(self) -> str:
        if not isinstance(self.value, str):
            return repr(self.value)
        if "'" in self.value and '"' in self.value:
            raise ConfigurationError(f"{self.key}: a value cannot hold both kinds of quotes: {self.value}")
        return f'"{self.value}"' if "'" in self.value else f"'{self.value}'"

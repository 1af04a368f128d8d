"""The typed form of `conf/load/*.yaml`: how requests arrive at a served network."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from models.ranges import Count, Positive

STRICT = ConfigDict(extra="forbid")
Scenario = Literal["Offline", "SingleStream", "Server"]


@dataclass(kw_only=True, slots=True, config=STRICT)
class Slo:
    """A request is good when it keeps to every limit that is given; goodput counts the good ones alone."""

    latency_ms: Positive | None = None
    """From arrival to the whole answer."""
    ttft_ms: Positive | None = None
    """From arrival to the first token of the answer."""
    tpot_ms: Positive | None = None
    """Per further token: (last - first token) ÷ (tokens - 1)."""

    @property
    def given(self) -> dict[str, float]:
        """The limits there are, by name."""
        limits = {"latency_ms": self.latency_ms, "ttft_ms": self.ttft_ms, "tpot_ms": self.tpot_ms}
        return {name: limit for name, limit in limits.items() if limit is not None}


def _no_slo(values: Any) -> Any:
    return {} if values is None else values


@dataclass(kw_only=True, slots=True, config=STRICT)
class Load:
    """How requests arrive; what a kind of load does not use stays as it is."""

    name: Literal["offline", "single_stream", "clients", "server", "mlperf"]
    clients: Count = 1
    """`clients`: how many wait for their answer before they ask again."""
    rate: Positive | None = None
    """`server`: requests per second, on average; their arrival is a Poisson process."""
    slo: Annotated[Slo, BeforeValidator(_no_slo)] = Field(default_factory=Slo)
    scenario: Scenario = "SingleStream"
    """`mlperf`: LoadGen's."""

    @property
    def by_rate(self) -> bool:
        """Whether requests arrive by themselves, however long the answers take."""
        return self.name == "server" or (self.name == "mlperf" and self.scenario == "Server")


def default_load() -> Load:
    """What a case has that was written down before there were loads, and every case that serves nothing."""
    return Load(name="offline")

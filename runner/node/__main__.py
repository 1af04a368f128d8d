"""`python -m runner.node HOST:PORT NUMBER`: this machine as one node of a case that runs elsewhere."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from multiprocessing import AuthenticationError
from pathlib import Path

from runner.cluster.gathering import split_address
from runner.cluster.wire import GONE, Wire, connect
from runner.core.errors import ConfigurationError, InterruptedRunError, TimedOutError, TouchstoneError
from runner.launchers.base import KEY_VARIABLE
from runner.node.agent import Agent

PROGRAM = "python -m runner.node"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the runner sends this node home; returns the exit code."""
    given = parser().parse_args(arguments)
    try:
        line = _reach(given.address, wait_s=given.wait)
    except KeyboardInterrupt:
        say("Interrupted.")
        return InterruptedRunError.exit_code
    except TouchstoneError as error:
        say(f"Error: {error}")
        return error.exit_code
    say(f"Node {given.number} of the case at {given.address}.")
    return Agent(line, given.number, given.root.absolute(), lost_s=given.lost, say=say).serve()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    made.add_argument("address", metavar="HOST:PORT", help="of the runner, as it printed it")
    made.add_argument("number", type=int, help="of this node: 1, 2, … (the runner's own machine is 0)")
    made.add_argument("--root", type=Path, default=Path("outputs"), help="where what the runner cannot see is kept")
    made.add_argument("--wait", type=float, default=300.0, metavar="S", help="how long the runner is looked for")
    made.add_argument("--lost", type=float, default=60.0, metavar="S", help="a runner silent for so long is gone")
    return made


def _reach(address: str, *, wait_s: float) -> Wire:
    host, port = split_address(address)
    key = os.environ.get(KEY_VARIABLE, "")
    if not port:
        raise ConfigurationError(f"{address} is no HOST:PORT.")
    try:
        bytes.fromhex(key)
    except ValueError:
        key = ""
    if not key:
        raise ConfigurationError(
            f"{KEY_VARIABLE} must hold the key that the runner printed; it is not set, or cut off."
        )
    try:
        return connect(host, port, key, wait_s=wait_s)
    except AuthenticationError as error:
        raise ConfigurationError(
            f"The runner at {address} knows another key than {KEY_VARIABLE} holds: of another run? Take the command "
            "that this run printed."
        ) from error
    except GONE as error:
        raise TimedOutError(
            f"No runner at {address} within {wait_s:g} s: {str(error) or type(error).__name__}. Does this machine "
            "reach that address and port? launcher.address=HOST:PORT of the run sets them."
        ) from error


def say(text: str) -> None:
    """A line for whoever looks at this node."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

"""`python -m runner.manifest`: write the manifest of a case for Kubernetes; nothing is started."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

from runner.commandline.arguments import Arguments, read_arguments
from runner.commandline.explain import USER_ERRORS, explain
from runner.config import resolvers
from runner.config.checks import check_for_elsewhere
from runner.config.compose import composing
from runner.config.fairness import require
from runner.config.plan import Planned, plan
from runner.config.schema import Case
from runner.config.search_path import take_search_path
from runner.core.errors import ConfigurationError
from runner.manifests.job import documents
from runner.manifests.places import FORMS
from runner.manifests.text import NOT_RUN, manifest
from runner.manifests.wanted import Wanted, wanted
from runner.messages import tr

PORT = 29400
"""Where the head waits for the others."""
CLAIM = "pvc:touchstone-outputs"


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 with a paragraph that says what is wrong."""
    options = parser().parse_intermixed_args(argv)
    try:
        asked = composed(options)
        text = manifest(asked, documents(asked), image_given=options.image is not None)
        _write(text, options.out)
    except USER_ERRORS as error:
        sys.stderr.write(f"Error: {explain(error)}\n")
        return getattr(error, "exit_code", ConfigurationError.exit_code)
    if options.out is not None:
        sys.stderr.write(tr("{file} is written. {remark}", file=options.out, remark=NOT_RUN) + "\n")
    return 0


def composed(options: argparse.Namespace) -> Wanted:
    """The case of the overrides, checked as far as this machine can, and what its pods are to be.

    Raises:
        TouchstoneError: the case, or an option, is not valid.
        hydra.errors.HydraException: a group, a choice or a key that there is not.
    """
    resolvers.register()
    if options.multirun:
        raise ConfigurationError("-m: a manifest is of one case. Write one for each.")
    read = read_arguments(options.overrides)
    _check_given(read)
    take_search_path(read.overrides)
    with composing():
        (planned,) = plan(read)
        case = _checked(planned)
    return wanted(case, tuple(read.overrides), options, version("touchstone"))


def _checked(planned: Planned) -> Case:
    if planned.case is None:
        raise planned.error or AssertionError("an invalid case has an error")
    require(planned.case, planned.division)
    check_for_elsewhere(planned.case, planned.division)
    return planned.case


def _check_given(read: Arguments) -> None:
    """Refuse what belongs to this machine, or is the manifest's own.

    Raises:
        ConfigurationError: says which word it is.
    """
    given = {one.key_or_group: one.value() for one in read.parsed if not one.is_delete()}
    if "vendor" not in given:
        raise ConfigurationError(
            "Name the vendor whose devices the cluster has, for instance vendor=nvidia: this machine's tell nothing."
        )
    if given.get("topology.devices") == "auto" or (given.get("topology") == "node" and "topology.devices" not in given):
        raise ConfigurationError("Give the number of devices of each node, for instance topology.devices=8.")
    launcher = next((key for key in given if key == "launcher" or key.startswith("launcher.address")), None)
    if launcher is not None:
        raise ConfigurationError(f"Leave {launcher}= out: the manifest brings the pods together itself.")
    root = given.get("run.root")
    if root is not None and not str(root).startswith("/"):
        raise ConfigurationError(f"run.root={root} is a folder of the pods: write it from the root, or leave it out.")


def _write(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.write_text(text)
    except OSError as error:
        raise ConfigurationError(f"--out {out} cannot be written: {error.strerror}.") from error


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m runner.manifest",
        description="Write a Kubernetes manifest of one case: an Indexed Job with a pod for each node, no operator.",
        epilog="Example: python -m runner.manifest model=bert vendor=nvidia topology=cluster topology.nodes=2 "
        f"--image registry.example/touchstone:1 --out job.yaml. {NOT_RUN}",
    )
    made.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="the case, as for python -m runner")
    made.add_argument("-m", "--multirun", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--out", metavar="FILE", type=Path, help="write to a file instead of the screen")
    pods = made.add_argument_group("pods")
    pods.add_argument("--name", help="of the job; default: the case's")
    pods.add_argument("--namespace", help="default: the one of kubectl's context")
    pods.add_argument("--image", help="with Touchstone and the vendor's stack in it; default: touchstone:VERSION")
    pods.add_argument("--pull-secret", metavar="SECRET", help="with which the image is pulled")
    pods.add_argument("--node-selector", metavar="LABEL=VALUE", action="append", default=[], help="which nodes")
    pods.add_argument("--user", metavar="UID", type=int, help="run as this user, not as the image's")
    pods.add_argument("--host-network", action="store_true", help="use the nodes' own network")
    pods.add_argument("--port", type=int, default=PORT, help="where the first pod waits for the others")
    pods.add_argument("--secret", help="that holds the key of the pods under 'key'; default: NAME-key")
    amounts = made.add_argument_group("what a pod gets")
    amounts.add_argument("--resource", metavar="DOMAIN/NAME", help="what a device is called; default: the vendor's")
    amounts.add_argument("--cpu", metavar="AMOUNT", help="cores")
    amounts.add_argument("--memory", metavar="AMOUNT", help="of the host")
    amounts.add_argument("--limit", metavar="NAME=AMOUNT", action="append", default=[], help="of anything else: RDMA …")
    amounts.add_argument("--shm", metavar="AMOUNT", help="size of /dev/shm; default: what the memory allows")
    places = made.add_argument_group("volumes", FORMS)
    places.add_argument("--outputs", metavar="PLACE", default=CLAIM, help=f"for run.root; default: {CLAIM}")
    places.add_argument("--data", metavar="PLACE", help="for data.root, read only")
    return made

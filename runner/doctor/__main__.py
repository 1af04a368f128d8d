"""`python -m runner.doctor [VENDOR …]`: what is on this machine, what is missing and what to do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hardware.detect import detect_vendor
from runner.config.known import workable
from runner.core import packages
from runner.core.errors import ConfigurationError, HardwareError
from runner.doctor.cluster.fabric import fabric
from runner.doctor.cluster.nodes import NodesFinding, nodes_of_allocation, nodes_of_files
from runner.doctor.cluster.page import nodes_page
from runner.doctor.cluster.ray_cluster import ray_cluster
from runner.doctor.cluster.slurm import slurm
from runner.doctor.findings import ClusterFinding, Findings, VendorFinding
from runner.doctor.inquire import inquire
from runner.doctor.node import main as tell
from runner.doctor.show import page
from runner.doctor.survey import host, require_known, survey, vendor_names
from runner.views.page import WIDTH, Page, screen, to_rich, to_text


def main(arguments: list[str] | None = None) -> int:
    """Examine the machine.

    Returns:
        0: every vendor that was named is usable; 2: a name that no vendor has; 3: one that was named is not usable,
            or the nodes that were compared do not fit together.
    """
    options = parser().parse_args(arguments)
    for problem in packages.problems():
        sys.stderr.write(f"Warning: {problem}\n")
    try:
        if options.facts:
            return tell((options.vendors or [detect_vendor()])[:1])
        if options.nodes or options.compare:
            return _nodes(options)
        findings = examine(options.vendors, deep=options.deep)
    except (ConfigurationError, HardwareError) as error:
        screen(sys.stderr).print(str(error), style="red", soft_wrap=True)
        return error.exit_code
    if options.json:
        sys.stdout.write(json.dumps(findings.to_dict(), indent=1) + "\n")
    else:
        _show(page(findings, options.vendors))
    return findings.exit_code


def _nodes(options: argparse.Namespace) -> int:
    """Whether the nodes of a job agree; 3 where they do not fit together."""
    vendor = options.vendors[0] if options.vendors else detect_vendor()
    require_known(vendor)
    found = nodes_of_files(options.compare) if options.compare else nodes_of_allocation(vendor)
    if options.json:
        sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")
    else:
        made = Page()
        nodes_page(made, found)
        _show(made)
    return _verdict(found)


def _verdict(found: NodesFinding) -> int:
    return HardwareError.exit_code if found.refused else 0


def _show(made: Page) -> None:
    terminal = screen()
    if terminal.is_terminal:
        terminal.print(to_rich(made, width=min(terminal.width, WIDTH)))
    else:
        terminal.out(to_text(made), end="", highlight=False)


def examine(asked: Sequence[str], *, deep: bool) -> Findings:
    """Look for the vendors that were named, or for all; ask the drivers of those whose devices are here.

    Raises:
        ConfigurationError: a name that no vendor has.
    """
    vendors = survey(list(dict.fromkeys(asked)) or vendor_names())
    for one in vendors:
        if one.found:  # one after the other: who uses the host's processors is one of the questions
            one.details = inquire(one.name, deep=deep and one.usable)
            _believe(one, deep=deep)
    unusable = any(not one.usable for one in vendors if one.name in asked)
    return Findings(
        deep=deep,
        detected=detect_vendor(),
        host=host(),
        vendors=vendors,
        choices=workable(),
        cluster=ClusterFinding(slurm=slurm(), ray=ray_cluster(), fabric=fabric()),
        exit_code=HardwareError.exit_code if unusable else 0,
    )


def _believe(one: VendorFinding, *, deep: bool) -> None:
    """A stack that was started and did not work is not usable, whatever lies on the disk."""
    assert one.details is not None
    if deep and one.usable and one.details.problem is not None:
        one.usable, one.missing = False, one.details.problem


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m runner.doctor",
        description="Show which vendors' devices are here, what is missing and what to do.",
        epilog="Exit status: 0 all named vendors are usable, 2 no such vendor, 3 a named vendor is not usable, or the "
        "compared nodes do not fit together.",
    )
    made.add_argument("vendors", metavar="VENDOR", nargs="*", help="as in vendor=; default: all")
    made.add_argument("--deep", action="store_true", help="start the stacks that are here, and ask them, too")
    others = made.add_mutually_exclusive_group()
    others.add_argument("--nodes", action="store_true", help="compare the nodes of the SLURM allocation around this")
    others.add_argument(
        "--compare", metavar="PLACE", nargs="+", type=Path, help="compare nodes by a run's folder, or files of --facts"
    )
    others.add_argument("--facts", action="store_true", help="print what this node is, for --compare")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    return made


if __name__ == "__main__":
    sys.exit(main())

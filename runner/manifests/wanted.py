"""What the command line asks of a manifest, checked: the case, and how its pods are to be."""

from __future__ import annotations

import argparse
import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from runner.commandline.quoting import shown
from runner.config.schema import Case
from runner.core.errors import ConfigurationError
from runner.core.redact import public_uri
from runner.manifests.places import DNS_NAME, MountedPlace, place_of

LONGEST_NAME = 50
"""Characters of a job's name: with a pod's number behind it, it is a host's name, of which DNS takes 63."""
QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGTP]i?)?")
"""How Kubernetes writes an amount of something."""
RESOURCE = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
OUTPUTS, DATA = "/outputs", "/data"
LEAST_PORT, MOST_PORT = 1024, 65535


@dataclass(kw_only=True, slots=True, frozen=True)
class Wanted:
    """Everything that a manifest is made of."""

    case: Case
    overrides: tuple[str, ...]
    """Of the case, as typed."""
    name: str
    """Of the job, and of all that belongs to it."""
    namespace: str | None
    image: str
    pull_secret: str | None
    resource: str | None
    """Name of the vendor's device in Kubernetes; None: the host's processor is the device."""
    limits: dict[str, str]
    """Of a container besides its devices."""
    shm: str | None
    """Size of /dev/shm; None: as the node's memory allows."""
    outputs: MountedPlace
    data: MountedPlace | None
    node_selector: dict[str, str]
    port: int
    user: int | None
    host_network: bool
    secret: str

    @property
    def nodes(self) -> int:
        """Pods."""
        return self.case.topology.nodes

    @property
    def run_root(self) -> str:
        """Where the pods mount what results are written to."""
        root = self.case.run.root
        return root if PurePosixPath(root).is_absolute() else OUTPUTS


def wanted(case: Case, overrides: tuple[str, ...], options: argparse.Namespace, version: str) -> Wanted:
    """From the options to what a manifest is made of.

    Args:
        case: composed and checked.
        overrides: what it was composed from, as typed.
        options: of the command.
        version: the engine's, for the name of an image that nobody gave.

    Raises:
        ConfigurationError: an option that Kubernetes would not take, or one that is missing.
    """
    name = _dns("--name", options.name) if options.name else job_name(case)
    if len(name) > LONGEST_NAME:
        raise ConfigurationError(f"--name {name} has {len(name)} characters; a job's has at most {LONGEST_NAME}.")
    if not LEAST_PORT <= options.port <= MOST_PORT:
        raise ConfigurationError(f"--port {options.port}: choose one of {LEAST_PORT} to {MOST_PORT}.")
    _refuse_root(options.user)
    _refuse_credentials(case)
    return Wanted(
        case=case,
        overrides=overrides,
        name=name,
        namespace=_dns("--namespace", options.namespace) if options.namespace else None,
        image=options.image or f"touchstone:{version}",
        pull_secret=_dns("--pull-secret", options.pull_secret) if options.pull_secret else None,
        resource=_resource(case, options.resource),
        limits=_limits(options),
        shm=_quantity("--shm", options.shm) if options.shm else None,
        outputs=place_of("--outputs", options.outputs),
        data=_data(case, options.data),
        node_selector=_pairs("--node-selector", options.node_selector),
        port=options.port,
        user=options.user,
        host_network=options.host_network,
        secret=_dns("--secret", options.secret) if options.secret else f"{name}-key",
    )


def job_name(case: Case) -> str:
    """The case's name as DNS takes it; a long one ends with digits of the case's identity, so that two differ."""
    plain = re.sub(r"[^a-z0-9]+", "-", case.name.lower()).strip("-")
    if len(plain) <= LONGEST_NAME and not plain[0].isdigit():
        return plain
    digits = hashlib.sha256(case.identity.encode()).hexdigest()[:8]
    return f"t-{plain}"[: LONGEST_NAME - len(digits) - 1].rstrip("-") + f"-{digits}"


def _resource(case: Case, given: str | None) -> str | None:
    if given is not None:
        if "/" not in given or not RESOURCE.fullmatch(given):
            raise ConfigurationError(f"--resource {given}: this is no name of a resource. Write DOMAIN/NAME.")
        return given
    if case.vendor.on_host or case.emulate:
        return None
    if case.vendor.pod_resource is None:
        raise ConfigurationError(
            f"What {case.vendor.title} is called in Kubernetes is not known. `kubectl describe node` shows under "
            "Allocatable what its device plugin calls it: give that with --resource DOMAIN/NAME."
        )
    return case.vendor.pod_resource


def _limits(options: argparse.Namespace) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("cpu", "memory"):
        given = getattr(options, name)
        found |= {name: _quantity(f"--{name}", given)} if given else {}
    for name, amount in _pairs("--limit", options.limit).items():
        if not RESOURCE.fullmatch(name):
            raise ConfigurationError(f"--limit {name}={amount}: {name} is no name of a resource.")
        found[name] = _quantity(f"--limit {name}", amount)
    return found


def _data(case: Case, given: str | None) -> MountedPlace | None:
    root = case.data.root
    if given is None:
        return None
    if root is None:
        raise ConfigurationError(f"--data {given} is mounted at data.root: add data=dataset data.root={DATA}")
    if not PurePosixPath(root).is_absolute():
        raise ConfigurationError(f"data.root={shown(root)} is a folder of the pod: write it from the root, as {DATA}.")
    return place_of("--data", given)


def _refuse_root(user: int | None) -> None:
    if user is not None and user < 1:
        raise ConfigurationError(f"--user {user}: give the number of a user who is not root, or leave it out.")


def _refuse_credentials(case: Case) -> None:
    uri = case.tracking.uri
    if uri is not None and public_uri(uri) != uri:
        raise ConfigurationError(
            "tracking.uri holds credentials, which would stand in the manifest for everybody to read. Leave "
            "tracking.uri out, and file the results with `python -m runner.sync` where the credentials are."
        )


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ConfigurationError(f"{option} {text}: write {option} NAME=VALUE.")
        found[name] = value
    return found


def _dns(option: str, text: str) -> str:
    if not DNS_NAME.fullmatch(text) or (option == "--name" and ("." in text or not text[0].isalpha())):
        raise ConfigurationError(
            f"{option} {text}: Kubernetes takes small letters, digits and '-', and a letter at the beginning."
        )
    return text


def _quantity(option: str, text: str) -> str:
    if not QUANTITY.fullmatch(text):
        raise ConfigurationError(f"{option} {text}: write an amount as Kubernetes does, for instance 16, 500m or 64Gi.")
    return text

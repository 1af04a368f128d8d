"""A manifest as text: the same documents give the same bytes, and the head says what has to be there first."""

from __future__ import annotations

from typing import Any

import yaml

from runner.manifests.job import KEY
from runner.manifests.wanted import Wanted

NOT_RUN = (
    "NOT RUN HERE: the documents agree with Kubernetes' schema, and no cluster was at hand to try them. "
    "Look at them before you apply them."
)


LEAST_VERSION = "1.29"
"""From which on a job's `backoffLimitPerIndex` works unless it was switched off."""


class _Dumper(yaml.SafeDumper):
    """Scripts as blocks, and no anchors: people read and change manifests."""

    def ignore_aliases(self, data: Any) -> bool:
        """Values are written out wherever they stand."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def manifest(asked: Wanted, documents: list[dict[str, Any]], *, image_given: bool) -> str:
    """The file for `kubectl apply -f`."""
    body = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=120, explicit_start=True)
    return "".join(f"# {line}\n" for line in _head(asked, image_given=image_given)) + body


def _head(asked: Wanted, *, image_given: bool) -> list[str]:
    where = "" if asked.namespace is None else f" -n {asked.namespace}"
    case, topology = asked.case, asked.case.topology
    lines = [
        f"Touchstone: {case.name}, {topology.nodes} x {topology.devices} devices of vendor={case.vendor.name}.",
        NOT_RUN,
        f"Kubernetes {LEAST_VERSION} or later: a pod that fails is not started again, and the others end themselves.",
    ]
    if asked.nodes > 1:
        lines += [
            "Before: the key by which the pods know each other, once for this job",
            f'  kubectl create secret generic {asked.secret}{where} --from-literal={KEY}="$(openssl rand -hex 32)"',
        ]
    claim = asked.outputs.source.get("persistentVolumeClaim", {}).get("claimName")
    if claim is not None:
        shared = ", for all nodes to write (ReadWriteMany)" if asked.nodes > 1 else ""
        lines.append(f"Results go to the claim {claim}, which must be there{shared}; --outputs names another place.")
    if not image_given:
        lines.append(f"The image {asked.image} is a name only. docs/kubernetes.md builds one; --image names it.")
    if asked.resource is None and "cpu" not in asked.limits:
        lines.append("Without --cpu, other pods may use the cores that are measured.")
    follow = f"kubectl logs{where} -f -l app.kubernetes.io/instance={asked.name}"
    return [*lines, f"Follow: {follow} --all-containers --prefix"]

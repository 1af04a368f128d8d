"""The documents of a manifest: a job with a pod for each node, and the service by which the pods find the first one.

Source: Kubernetes documentation, Job with pod-to-pod communication: a pod of an Indexed job has the host name
`JOB-INDEX`, and below a headless service of the same namespace a name in DNS.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from runner.launchers.base import KEY_VARIABLE, agent_arguments
from runner.manifests.wanted import Wanted

GRACE_S = 180
"""Between SIGTERM and SIGKILL: a checkpoint is written in it."""
WAIT_S = 1800.0
"""How long the first pod waits for the others: images are pulled in it, and nothing starts all pods at once."""
KEY = "key"
"""Of the Secret: where the run's key stands."""
_INDEX = "JOB_COMPLETION_INDEX"
"""Environment variable that the job controller sets in every pod of an Indexed job."""


def documents(asked: Wanted) -> list[dict[str, Any]]:
    """The manifest's documents, in the order in which they are applied."""
    return [service(asked), job(asked)] if asked.nodes > 1 else [job(asked)]


def service(asked: Wanted) -> dict[str, Any]:
    """Headless: DNS alone, also while a pod is not ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(asked),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": _labels(asked),
            "ports": [{"name": "touchstone", "port": asked.port}],
        },
    }


def job(asked: Wanted) -> dict[str, Any]:
    """No pod is started again, so nothing is measured twice.

    The limit is of each pod, not of the job: the job would end the first pod as soon as another fails, before it has
    recorded which node was lost.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(asked) | {"annotations": {"touchstone/case": asked.case.name}},
        "spec": {
            "completionMode": "Indexed",
            "completions": asked.nodes,
            "parallelism": asked.nodes,
            "backoffLimitPerIndex": 0,
            "template": {"metadata": {"labels": _labels(asked)}, "spec": _pod(asked)},
        },
    }


def _pod(asked: Wanted) -> dict[str, Any]:
    made: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,  # its first process collects what a crashed rank leaves
    }
    if asked.nodes > 1:
        made |= {"subdomain": asked.name, "affinity": _apart(asked)}
    if asked.host_network:
        made |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    made |= {"nodeSelector": asked.node_selector} if asked.node_selector else {}
    made |= {"imagePullSecrets": [{"name": asked.pull_secret}]} if asked.pull_secret else {}
    if asked.user is not None:
        who = {"runAsUser": asked.user, "runAsGroup": asked.user, "fsGroup": asked.user}
        made["securityContext"] = {"runAsNonRoot": True, **who, "fsGroupChangePolicy": "OnRootMismatch"}
    return made | {"containers": [_container(asked)], "volumes": _volumes(asked)}


def _apart(asked: Wanted) -> dict[str, Any]:
    """No two pods on one node: they would count as two nodes and share one's network, host and power."""
    term = {"labelSelector": {"matchLabels": _labels(asked)}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _container(asked: Wanted) -> dict[str, Any]:
    limits: dict[str, Any] = dict(asked.limits)
    if asked.resource is not None:
        limits[asked.resource] = asked.case.topology.devices
    made: dict[str, Any] = {
        "name": "touchstone",
        "image": asked.image,
        "command": ["/bin/sh", "-c", script(asked)],
        "env": _environment(asked),
        # Requests as large as the limits: nobody else gets a share of what is measured.
        "resources": {"requests": dict(limits), "limits": limits} if limits else {},
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": _mounts(asked),
    }
    return {name: value for name, value in made.items() if value}


def script(asked: Wanted) -> str:
    """What a pod runs: the first is the head and its own node, the others come to it."""
    command = ["python", "-m", "runner", *asked.overrides]
    command += [] if _is_given(asked, "run.root") else [f"run.root={asked.run_root}"]
    if asked.nodes == 1:
        return f"exec {shlex.join(command)}\n"
    head = f"{asked.name}-0.{asked.name}:{asked.port}"
    wait_s = asked.case.launcher.wait_s if _is_given(asked, "launcher.wait_s") else WAIT_S
    command += ["launcher=local", f"launcher.address={head}", f"launcher.wait_s={wait_s:g}"]
    there = replace(
        asked.case,
        run=replace(asked.case.run, root=asked.run_root),
        launcher=replace(asked.case.launcher, wait_s=wait_s),
    )
    address, _, *more = agent_arguments(there, head, 0)
    agent = f'python -m runner.node {address} "${_INDEX}" {shlex.join(more)}'
    return f'if [ "${_INDEX}" = 0 ]; then\n  exec {shlex.join(command)}\nfi\nexec {agent}\n'


def _is_given(asked: Wanted, key: str) -> bool:
    return any(word.lstrip("+").startswith(f"{key}=") for word in asked.overrides)


def _environment(asked: Wanted) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": "PYTHONUNBUFFERED", "value": "1"}]
    if asked.user is not None:  # such a user has no entry in the image, and so no home of its own
        found += [{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "touchstone"}]
    if asked.nodes > 1:
        key = {"secretKeyRef": {"name": asked.secret, "key": KEY}}
        found.append({"name": KEY_VARIABLE, "valueFrom": key})
    return found


def _mounts(asked: Wanted) -> list[dict[str, Any]]:
    found = [{"name": "shm", "mountPath": "/dev/shm"}, asked.outputs.mount("outputs", asked.run_root)]
    if asked.data is not None:
        assert asked.case.data.root is not None
        found.append(asked.data.mount("data", asked.case.data.root, read_only=True))
    return found


def _volumes(asked: Wanted) -> list[dict[str, Any]]:
    memory = {"medium": "Memory"} | ({"sizeLimit": asked.shm} if asked.shm else {})
    found = [{"name": "shm", "emptyDir": memory}, asked.outputs.volume("outputs")]
    return found if asked.data is None else [*found, asked.data.volume("data")]


def _labels(asked: Wanted) -> dict[str, str]:
    return {"app.kubernetes.io/name": "touchstone", "app.kubernetes.io/instance": asked.name}


def _metadata(asked: Wanted) -> dict[str, Any]:
    place = {} if asked.namespace is None else {"namespace": asked.namespace}
    return {"name": asked.name, **place, "labels": _labels(asked)}

"""What a pod mounts: a claim, a folder of the node, or an export of an NFS server, as the command line names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from runner.core.errors import ConfigurationError

FORMS = "pvc:CLAIM, pvc:CLAIM/FOLDER, host:/FOLDER or nfs:SERVER:/FOLDER"
DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""RFC 1123, as Kubernetes wants the names of claims, secrets and namespaces."""


@dataclass(kw_only=True, slots=True, frozen=True)
class MountedPlace:
    """Where files are, outside of any pod."""

    source: dict[str, Any]
    """As a volume of a pod, without its name."""
    folder: str | None = None
    """Below the claim's root; None: all of it."""

    def volume(self, name: str) -> dict[str, Any]:
        """An entry of the pod's `volumes`."""
        return {"name": name, **self.source}

    def mount(self, name: str, path: str, *, read_only: bool = False) -> dict[str, Any]:
        """An entry of the container's `volumeMounts`."""
        made: dict[str, Any] = {"name": name, "mountPath": path}
        made |= {} if self.folder is None else {"subPath": self.folder}
        return made | ({"readOnly": True} if read_only else {})


def place_of(option: str, text: str) -> MountedPlace:
    """What `--outputs` or `--data` names.

    Raises:
        ConfigurationError: it is none of the forms there are.
    """
    kind, _, rest = text.partition(":")
    claim, _, folder = rest.partition("/")
    if kind == "pvc" and DNS_NAME.fullmatch(claim) and ".." not in folder.split("/"):
        return MountedPlace(source={"persistentVolumeClaim": {"claimName": claim}}, folder=folder.strip("/") or None)
    if kind == "host" and rest.startswith("/"):
        return MountedPlace(source={"hostPath": {"path": rest, "type": "Directory"}})
    server, colon, path = rest.partition(":")
    if kind == "nfs" and server and colon and path.startswith("/"):
        return MountedPlace(source={"nfs": {"server": server, "path": path}})
    raise ConfigurationError(f"{option} {text}: this is no place. Write {FORMS}.")

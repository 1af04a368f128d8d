"""Takes credentials and names out of what is written down or shown: addresses, environment variables, messages."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

SECRET_WORDS = ("token", "key", "secret", "passw", "passphrase", "pwd", "credential", "auth", "cookie")
"""A variable whose name holds one of these is never told."""
NAMES_OF_NOBODY = frozenset({"localhost", "root", "user", "ubuntu", "nobody"})
"""Of machines and users as they come: they say nothing of whose they are."""
_USER_INFO = re.compile(r"(?<=//)[^/\s@]*@")


def public_uri(uri: str) -> str:
    """`uri` without user, password, query and fragment, fit to be shown and stored; that of a file stays as it is."""
    if uri.startswith("sqlite:") or "://" not in uri:
        return uri
    try:
        parts = urlsplit(uri)
        place = parts.netloc.rpartition("@")[2]
        if "@" in parts.netloc or "@" not in uri or _has_port(parts.netloc):
            return urlunsplit((parts.scheme, place, parts.path, "", ""))
    except ValueError:  # no address at all
        pass
    # A password with `/`, `?` or `#` in it: what ends at the last `@` is not the host, whatever the syntax says.
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{re.split(r'[?#]', rest.rpartition('@')[2])[0]}"


def _has_port(netloc: str) -> bool:
    """Whether what stands before the path can be a host and its port, rather than a user and a password."""
    host, colon, port = netloc.partition(":")
    return bool(host) and (not colon or port.isdigit())


def without_secrets(values: Mapping[str, str]) -> dict[str, str]:
    """Environment variables without those that are called like a secret, and without users and passwords in others."""
    return {
        name: _USER_INFO.sub("", value)
        for name, value in values.items()
        if not any(word in name.lower() for word in SECRET_WORDS)
    }


def without_names(text: str, *, host: str | None = None, user: str | None = None, home: str | None = None) -> str:
    """A message without this machine's name, its user's, and his folder: libraries put them into what they say.

    Args:
        text: of an error.
        host: name of the machine; None: this one's. Its domain goes with it.
        user: name of the user; None: this process'. It is looked for in paths and addresses alone.
        home: the user's folder, which becomes `~`; None: this process'.
    """
    host = socket.gethostname() if host is None else host
    user = _own_user() if user is None else user
    home = _own_home() if home is None else home
    if user and user not in NAMES_OF_NOBODY:
        if home.strip("/"):
            text = re.sub(rf"(?<![\w./-]){re.escape(home.rstrip('/'))}(?![\w.-])", "~", text)
        text = re.sub(rf"(?<=/){re.escape(user)}(?![\w.-])|(?<![\w.-]){re.escape(user)}(?=@)", "USER", text)
    short = host.partition(".")[0]
    if short and short not in NAMES_OF_NOBODY:
        text = re.sub(rf"(?<![\w./-]){re.escape(short)}(\.[a-z0-9-]+)*(?![\w-])", "HOST", text)
    return text


def _own_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return ""


def _own_home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:
        return ""

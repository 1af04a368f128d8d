"""Takes credentials out of what is written down or shown: addresses, and environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

SECRET_WORDS = ("token", "key", "secret", "passw", "passphrase", "pwd", "credential", "auth", "cookie")
"""A variable whose name holds one of these is never told."""
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

"""Reads JSON from one management controller and from nobody else: credentials never go to another address.

A connection is kept between requests, for setting up TLS takes a controller longer than the answer. Proxies are not
used, and a redirect is followed only to the same address.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

LARGEST_BYTES = 1 << 20
"""No resource of a chassis is larger."""
REDIRECTS = 3
_MOVED = frozenset({301, 302, 303, 307, 308})
_REFUSED = frozenset({401, 403})
_SAFE = "/%:@!$&'()*+,;=~"
"""Characters of a path that stay as they are (RFC 3986); `%` because links come quoted."""
_PORTS = {"https": 443, "http": 80}


class RedfishError(RuntimeError):
    """What the controller did not do; never contains the account."""


class RedfishClient:
    """Gets resources by their path."""

    def __init__(
        self, host: str, port: int | None, *, context: ssl.SSLContext | None, headers: dict[str, str], timeout_s: float
    ) -> None:
        """A client that is not connected yet; without a `context` it speaks plain http."""
        self._origin = f"{'https' if context else 'http'}://{host}{f':{port}' if port else ''}"
        self._headers = headers
        if context is not None:
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=timeout_s, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path.

        Raises:
            RedfishError: no answer, another status than 200, or no JSON object; says which.
        """
        status, location, body = self._request(self._own(path))
        for _ in range(REDIRECTS):
            if status not in _MOVED or location is None:
                break
            status, location, body = self._request(self._own(urljoin(path, location)))
        if status in _REFUSED:
            raise RedfishError(f"the controller refused the account (HTTP {status} for {path})")
        if status != http.client.OK:
            raise RedfishError(f"HTTP {status} for {path}")
        try:
            content = json.loads(body)
        except ValueError as error:
            raise RedfishError(f"{path} is no JSON: {body[:100]!r}") from error
        if not isinstance(content, dict):
            raise RedfishError(f"{path} is no JSON object: {body[:100]!r}")
        return content

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _own(self, link: str) -> str:
        """Path of a link on this controller."""
        target = urlsplit(urljoin(f"{self._origin}/", link))
        if _address(target) != _address(urlsplit(self._origin)):
            raise RedfishError("the controller pointed to another address, which gets no credentials from here")
        return quote(target.path, safe=_SAFE)

    def _request(self, path: str) -> tuple[int, str | None, bytes]:
        """Status, redirect and content; once more on a new connection where the controller had closed the old one."""
        fresh = self._connection.sock is None
        try:
            return self._exchange(path)
        except (http.client.HTTPException, ConnectionError) as error:
            self._connection.close()
            if fresh:
                raise RedfishError(f"no answer for {path}: {_said(error)}") from error
        except OSError as error:
            self._connection.close()
            raise RedfishError(f"no answer for {path}: {_said(error)}") from error
        return self._request(path)

    def _exchange(self, path: str) -> tuple[int, str | None, bytes]:
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read(LARGEST_BYTES + 1)
        if len(body) > LARGEST_BYTES:
            self._connection.close()
            raise RedfishError(f"{path} is larger than {LARGEST_BYTES} bytes")
        return response.status, response.getheader("Location"), body


def make_client(
    url: str, *, user: str, password: str, insecure: bool, insecure_name: str, timeout_s: float
) -> tuple[RedfishClient, str]:
    """A client for an address, and the path in it.

    Args:
        url: `https://host[:port][/path]`.
        user: account, sent as HTTP basic authentication.
        password: of the account.
        insecure: believe any certificate, and allow http.
        insecure_name: the setting that says so, for messages.
        timeout_s: of each step of a request.

    Raises:
        RedfishError: not such an address, http without `insecure`, or an account inside the address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("https", "http"):
        raise RedfishError("the address of the management controller is not of the form https://host[:port]")
    if "@" in parts.netloc:
        raise RedfishError("the address holds an account; give it in variables of its own")
    if parts.scheme == "http" and not insecure:
        raise RedfishError(f"http would send the password in the clear; use https (or {insecure_name}=1)")
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {"Accept": "application/json", "OData-Version": "4.0", "Authorization": f"Basic {token}"}
    shown = f"[{host}]" if ":" in host else host
    return RedfishClient(shown, port, context=context, headers=headers, timeout_s=timeout_s), parts.path


def _address(url: SplitResult) -> tuple[str, str | None, int | None]:
    try:
        return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)
    except ValueError:
        return url.scheme, url.hostname, None


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed ({error.verify_message}); SSL_CERT_FILE names the authority's"
    return str(error) or type(error).__name__

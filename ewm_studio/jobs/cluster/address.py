"""Where a cluster answers, and whether it may be spoken to: with its token, or on this machine alone."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ewm_studio.errors import UserError
from ewm_studio.settings.clusters import AUTO, SCHEME

PORT = 10001  # at which the head of a Ray cluster answers clients
ANSWER_SECONDS = 10.0
MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_SAY_TOKEN = (
    "put its token into ~/.ray/auth_token or RAY_AUTH_TOKEN (ray get-auth-token --generate makes one, for all "
    f"machines of the cluster), or say {MODE}=disabled where nobody else can reach it"
)


def cluster_address(on: str, environ: Mapping[str, str]) -> str:
    """The address that is meant, as `ray://host:port`; `auto` is `RAY_ADDRESS`, else the cluster of this machine.

    Raises:
        UserError: it is none.
    """
    if on == AUTO:
        on = environ.get("RAY_ADDRESS", "")
        if not on.startswith(SCHEME):
            on = f"{SCHEME}127.0.0.1:{PORT}"
    parts = urlsplit(on)
    try:
        host, port = parts.hostname or "", parts.port or PORT
    except ValueError:
        host, port = "", 0
    if not on.startswith(SCHEME) or not host:
        raise UserError(f"a cluster's address should be auto or {SCHEME}HOST:{PORT} (found {on!r:.60})")
    return f"{SCHEME}{f'[{host}]' if ':' in host else host}:{port}"


def check_cluster(address: str, environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """See that Ray is here, that somebody answers, and that strangers could not; gives what Ray's environment needs.

    Args:
        address: as `cluster_address` gives it.
        environ: the variables of this process.
        home: the person's folder, in which Ray looks for a token.

    Raises:
        UserError: Ray is not installed, nobody answers there, or it is not this machine and there is no token.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            "a cluster needs Ray, which is not installed: uv sync --extra cluster (pip: ewm-studio[cluster])"
        )
    parts = urlsplit(address)
    assert parts.hostname is not None
    found = _authentication(address, parts.hostname, environ, home)
    try:
        socket.create_connection((parts.hostname, parts.port or PORT), ANSWER_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"no Ray cluster answers at {address} ({error.strerror or error}); begin one there with ray start --head"
        ) from None
    return found


def _authentication(address: str, host: str, environ: Mapping[str, str], home: Path) -> dict[str, str]:
    if MODE in environ:
        return {}
    file = Path(environ.get(TOKEN_PATH) or home / ".ray" / "auth_token")
    if environ.get(TOKEN) or file.is_file():
        return {MODE: "token"}
    if not is_this_machine(host):
        raise UserError(f"{address} is another machine, and there is no token to show it: {_SAY_TOKEN}")
    return {}


def is_this_machine(host: str) -> bool:
    """Whether a host is reached without leaving this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ray_environment(on: str) -> str:
    """Get this process ready to speak to a cluster; gives its address.

    Ray reads the variables when it is first imported, so that this comes before.

    Raises:
        UserError: as `cluster_address` and `check_cluster`.
    """
    address = cluster_address(on, os.environ)
    os.environ.update(check_cluster(address, os.environ, Path.home()))
    return address

"""Where a socket may listen, and how ZeroMQ writes it."""

from __future__ import annotations

import ipaddress
from typing import Final

from bridge_core.protocol.errors import ConfigError

__all__ = ["check_endpoint_host", "endpoint"]

_WILDCARDS: Final = frozenset({"*", "0.0.0.0", "::"})  # noqa: S104  # named to be refused


def check_endpoint_host(host: str, bind_any: bool) -> None:  # noqa: FBT001
    """Check where a server binds: an IP literal, and every interface only if asked for.

    Raises:
        ConfigError: BIND.
    """
    try:
        address = None if host == "*" else ipaddress.ip_address(host)
    except ValueError:
        raise ConfigError(
            "BIND", f"host {host!r} is not an IP address: write a literal such as `127.0.0.1`"
        ) from None
    mapped = getattr(address, "ipv4_mapped", None)
    anywhere = address is None or address.is_unspecified or str(mapped) in _WILDCARDS
    if anywhere and not bind_any:
        raise ConfigError(
            "BIND",
            f"host {host!r} means every interface: name one address, or set `bind_any = true`",
        )


def endpoint(host: str, port: int) -> str:
    """Return the ZeroMQ address of a host literal and port."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

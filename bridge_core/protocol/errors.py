"""The exception family. Refusals are values (`Refusal`); these are for broken code and peers.

The text of every error is `CODE: key=value key=value`, or one sentence with its fix where a
person reads it (ConfigError). It never holds a secret.
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "BridgeError",
    "ConfigError",
    "LocalProtocolError",
    "OrderDeniedError",
    "OrderRejectedError",
    "OutcomeUnknownError",
    "ProtocolError",
    "RemoteProtocolError",
    "TransportError",
]


class BridgeError(Exception):
    """Root of the family; `code` is stable, `detail` is for people."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class ConfigError(BridgeError):
    """A file or setting keeps us from starting; the detail names it and the fix."""


class ProtocolError(BridgeError):
    """Somebody broke the rules of protocol.md."""


class LocalProtocolError(ProtocolError):
    """We would have sent something illegal; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something illegal; it counts as if nothing had arrived."""


class AuthenticationError(BridgeError):
    """A MAC, key id or identity does not hold."""


class TransportError(BridgeError):
    """Not connected, or the connection was lost; the detail names the hop."""


class OrderDeniedError(BridgeError):
    """Raised by `OrderResult.raise_for_status()`: one of us refused the order."""


class OrderRejectedError(BridgeError):
    """Raised by `OrderResult.raise_for_status()`: the broker refused the order."""


class OutcomeUnknownError(BridgeError):
    """Raised by `OrderResult.raise_for_status()`: nobody can tell yet what happened."""

"""The strategy's side: `from bridge_client import Connector, Status`.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge_client.accounts import Accounts, Offline
    from bridge_client.connector import Connector
    from bridge_client.events import EventFeed
    from bridge_client.happenings import (
        AccountUpdate,
        Alert,
        LinkChanged,
        OrderCancelled,
        OrderExpired,
        OrderFinal,
        OrderPlaced,
        PositionClosed,
        PositionModified,
        PositionOpened,
        Resync,
        StateChanged,
        Tick,
    )
    from bridge_client.result import ChildResult, OrderResult, OrderType, SizeResult
    from bridge_client.views import (
        Account,
        Cause,
        DeadMan,
        Deal,
        Health,
        Hop,
        LimitRow,
        PendingOrder,
        Ping,
        Position,
        Quote,
        StateResult,
        Symbol,
        Sync,
    )
    from bridge_core.protocol.codes import ReasonCode, Status
    from bridge_core.protocol.errors import (
        AuthenticationError,
        BridgeError,
        ConfigError,
        LocalProtocolError,
        OrderDeniedError,
        OrderRejectedError,
        OutcomeUnknownError,
        ProtocolError,
        RemoteProtocolError,
        TransportError,
    )

__all__ = [
    "Account", "AccountUpdate", "Accounts", "Alert", "AuthenticationError", "BridgeError", "Cause",
    "ChildResult", "ConfigError", "Connector", "DeadMan", "Deal", "EventFeed", "Health", "Hop",
    "LimitRow", "LinkChanged", "LocalProtocolError", "Offline", "OrderCancelled",
    "OrderDeniedError", "OrderExpired", "OrderFinal", "OrderPlaced", "OrderRejectedError",
    "OrderResult", "OrderType", "OutcomeUnknownError", "PendingOrder", "Ping", "Position",
    "PositionClosed", "PositionModified", "PositionOpened", "ProtocolError", "Quote", "ReasonCode",
    "RemoteProtocolError", "Resync", "SizeResult", "StateChanged", "StateResult", "Status",
    "Symbol", "Sync", "Tick", "TransportError",
]  # fmt: skip

_HOMES: Final = {
    "bridge_client.accounts": "Accounts Offline",
    "bridge_client.connector": "Connector",
    "bridge_client.events": "EventFeed",
    "bridge_client.happenings": (
        "AccountUpdate Alert LinkChanged OrderCancelled OrderExpired OrderFinal OrderPlaced "
        "PositionClosed PositionModified PositionOpened Resync StateChanged Tick"
    ),
    "bridge_client.result": "ChildResult OrderResult OrderType SizeResult",
    "bridge_client.views": (
        "Account Cause DeadMan Deal Health Hop LimitRow PendingOrder Ping Position Quote "
        "StateResult Symbol Sync"
    ),
    "bridge_core.protocol.codes": "ReasonCode Status",
    "bridge_core.protocol.errors": (
        "AuthenticationError BridgeError ConfigError LocalProtocolError OrderDeniedError "
        "OrderRejectedError OutcomeUnknownError ProtocolError RemoteProtocolError TransportError"
    ),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

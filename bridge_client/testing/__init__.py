"""A kit for strategy authors: a real paper server in a temporary folder, with faults by name.

    from bridge_client.testing import paper_bridge

    with paper_bridge(prices=[1.10, 1.11, 1.09]) as bridge:
        bridge.lose_next_answer()
        result = bridge.buy("EURUSD", 0.01)  # UNKNOWN or already settled, never "failed"

In pytest the same name is a fixture, there without an import. See docs/testing-your-strategy.md.
Names are loaded when they are first used: a project that does not use the kit pays nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge_client.testing.bridge import PaperBridge, paper_bridge
    from bridge_client.testing.judgement import BrokenPromiseError, BrokerAct

__all__ = ["BrokenPromiseError", "BrokerAct", "PaperBridge", "paper_bridge"]

_HOME_OF: Final = {
    "BrokenPromiseError": "bridge_client.testing.judgement",
    "BrokerAct": "bridge_client.testing.judgement",
    "PaperBridge": "bridge_client.testing.bridge",
    "paper_bridge": "bridge_client.testing.bridge",
}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""What a doctor's check is: a stable id, a state, a finding, one concrete fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from bridge_client.connector import Connector
    from bridge_client.settings import ConnectorSettings
    from bridge_client.views import Health
    from bridge_core.host.bundles import Bundle
    from bridge_core.protocol.replies import HelloReply

__all__ = ["SAID", "Check", "Finding", "Patient", "fail", "good", "skip", "warn"]

# The finding of a check that an earlier one has answered: people are not told twice.
SAID: Final = "said above"


class Finding(NamedTuple):
    """What one check found. `fix` is a command or one sentence, "" when all is well."""

    state: str
    finding: str
    fix: str = ""


def good(finding: str) -> Finding:
    """All is well."""
    return Finding("ok", finding)


def warn(finding: str, fix: str) -> Finding:
    """It works, and will not for ever."""
    return Finding("warn", finding, fix)


def fail(finding: str, fix: str) -> Finding:
    """It does not work."""
    return Finding("fail", finding, fix)


def skip(finding: str, fix: str = "") -> Finding:
    """Not looked at, and why."""
    return Finding("skip", finding, fix)


@dataclass
class Patient:
    """What the checks learn one after the other; a check skips what an earlier one did not find.

    `told` are the rows of GET_LIMITS about the hop behind the server, by their prefix.
    """

    config: Path | None = None
    wanted: str = ""
    settings: ConnectorSettings | None = None
    bundle: Bundle | None = None
    listens: bool = True
    bridge: Connector | None = None
    hello: HelloReply | None = None
    health: Health | None = None
    told: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the configuration start from."""
        return self.config.parent if self.config is not None else Path()


class Check(NamedTuple):
    """One row of the list; `id` is stable, scripts may rely on it."""

    id: str
    look: Callable[[Patient], Finding]

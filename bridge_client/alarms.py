"""The connector's own alerts: what only this side can see. A log line each, and a webhook.

The server's alerts reach a person by the server's own webhook; these are about the server.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from bridge_client.settings import ConnectorSettings
from bridge_core.host.alert_settings import Destination
from bridge_core.host.logs import redact
from bridge_core.host.outbox import Alert
from bridge_core.host.webhook import Origin, Webhook
from bridge_core.protocol.alerts import severity_of

__all__ = ["ClientAlarms"]

_MESSAGE_CHARS_MAX: Final = 200
_LEVELS: Final = {
    name: logging.getLevelNamesMapping()[name.upper()]
    for name in ("info", "warning", "error", "critical")
}


class ClientAlarms:
    """Raises alerts from any thread; never waits, never raises."""

    def __init__(
        self, settings: ConnectorSettings, destination: Destination | None, log: logging.Logger
    ) -> None:
        self._log = log
        self._webhook: Webhook | None = None
        if destination is not None:
            origin = Origin(settings.account, settings.mode, "connector")
            self._webhook = Webhook(destination, origin, self._say)

    def _say(self, level: str, event: str, fields: dict[str, object]) -> None:
        said = " ".join(f"{name}={value}" for name, value in fields.items() if value)
        self._log.log(_LEVELS[level], "%s %s", event, redact(said))

    def alert(self, code: str, message: str, level: str | None = None, rid: str = "") -> str:
        """Tell it, and return its severity (`level`, or the table's); `rid` names an order."""
        severity = level if level is not None else severity_of(code)
        number = _LEVELS.get(severity, logging.WARNING)
        about = f" rid={rid}" if rid else ""
        self._log.log(number, "%s%s why=%r", code, about, message)
        if rid:
            message = f"{message} (order {rid})"
        message = message[:_MESSAGE_CHARS_MAX]
        if self._webhook is not None:
            now_ms = time.time_ns() // 1_000_000
            self._webhook.tell(Alert(code=code, severity=severity, message=message, time=now_ms))
        return severity

    def close(self) -> None:
        """Let the webhook send what is left; a few seconds at most, for what is critical."""
        if self._webhook is not None:
            self._webhook.close()

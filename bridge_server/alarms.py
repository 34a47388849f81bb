"""The server's alerts: each becomes an event, a log line and, where configured, a webhook.

A cause that lowers the trading state alerts by itself, whoever raised it (protocol.md 10 and 12).
Owned by the loop: an order never waits for it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from bridge_core.host.clock import Clock
from bridge_core.host.logs import log_event
from bridge_core.host.outbox import Alert
from bridge_core.host.webhook import Webhook
from bridge_core.protocol.alerts import AlertCode, Severity, severity_of
from bridge_core.protocol.events import EventBody
from bridge_server.core.trading_state import CAUSES, Cause, Causes, Kind, RaisedCause, TradingState
from bridge_server.publisher import Publisher

__all__ = ["Alarms"]

_MESSAGE_CHARS_MAX: Final = 200
_CODE_CHARS_MAX: Final = 40
# A cause alerts by itself; whoever raised it may say the same once more.
_ECHO_MS: Final = 1_000
_ECHOES_MAX: Final = 64
# RECOVERING is every start; each UNKNOWN order has an alert of its own.
_SILENT: Final = frozenset({Cause.RECOVERING, Cause.UNKNOWN})
# A terminal or an EA that connects a moment after the server is no news; one that does not is.
_LATE_AT_START: Final = frozenset({Cause.BROKER_LINK, Cause.EA_STALE})
_START_MS: Final = 3_000


class Alarms:
    """Raises alerts. Without a webhook they are events and log lines."""

    def __init__(
        self, publisher: Publisher, clock: Clock, log: logging.Logger, webhook: Webhook | None
    ) -> None:
        self._publisher, self._clock, self._log, self._webhook = publisher, clock, log, webhook
        self._said: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._raised: set[Cause] = set()
        self._early: set[Cause] = set()
        self._started_ms = clock.mono_ms()

    def alert(self, code: str, message: str, level: str | None = None, subject: str = "") -> None:
        """Tell everybody. `level` None: the table's; `subject` tells kinds of one code apart."""
        severity = level if level is not None else severity_of(code)
        message = message[:_MESSAGE_CHARS_MAX]
        if self._echo(code, message):
            return
        self._pass_on(code, severity, message, subject)
        event = EventBody(type="alert", level=severity, code=code, message=message)
        self._publisher.publish(event, self._clock.wall_ms())

    def passing(self, event: EventBody | None) -> None:
        """Take note of the backend's or the EA's alerts: their events are on their way already."""
        if event is None or event.type != "alert":
            return
        severity = event.level or severity_of(event.code)
        if severity == Severity.CRITICAL and event.code not in list(AlertCode):
            severity = Severity.ERROR  # what never waits for its turn is what we know
        code, message = event.code[:_CODE_CHARS_MAX], event.message[:_MESSAGE_CHARS_MAX]
        self._pass_on(code, severity, message, event.symbol)

    def _echo(self, code: str, message: str) -> bool:
        now_ms = self._clock.mono_ms()
        last = self._said.pop((code, message), None)
        self._said[code, message] = now_ms
        if len(self._said) > _ECHOES_MAX:
            self._said.popitem(last=False)
        return last is not None and now_ms - last < _ECHO_MS

    def _pass_on(self, code: str, severity: str, message: str, subject: str) -> None:
        known = severity if severity in list(Severity) else Severity.WARNING
        log_event(
            self._log, known, "alert", code=code, severity=severity, message=message,
            subject=subject,
        )  # fmt: skip
        if self._webhook is not None:
            alert = Alert(
                code=code, severity=severity, message=message, subject=subject,
                time=self._clock.wall_ms(),
            )  # fmt: skip
            self._webhook.tell(alert)

    # --- causes --------------------------------------------------------------------------------

    def follow(self, causes: Causes, cause: str, reason: str) -> None:
        """Alert when a cause begins to hold, grows worse, or ends; called after every change."""
        named = Cause(cause)
        if named in _SILENT:
            return
        held = causes.get(named)
        if held is not None and named in _LATE_AT_START and self._is_starting():
            self._early.add(named)
        elif held is not None:
            self._raised.add(named)
            self._raise(held, reason)
        elif named in self._raised:
            self._raised.discard(named)
            message = f"{named} has ended, the account is {causes.state()}: {reason or '-'}"
            self.alert(AlertCode.CAUSE_ENDED, message, subject=named)

    def _raise(self, held: RaisedCause, reason: str) -> None:
        level: str | None = None
        if held.cause is Cause.OPERATOR:
            halted = held.state is TradingState.HALTED
            level = Severity.CRITICAL if halted else Severity.WARNING
            reason = f"{held.state}: {reason}"
        self.alert(held.cause, reason or CAUSES[held.cause].ends, level)

    def started(self, raised: Iterable[RaisedCause]) -> None:
        """Say once what an earlier run left in force; the loop begins now."""
        self._started_ms = self._clock.mono_ms()
        for held in raised:
            if CAUSES[held.cause].kind is Kind.LATCH:
                self._raised.add(held.cause)
                self._raise(held, f"the server starts {held.state}, {held.reason or held.cause}")

    def tick(self, causes: Causes) -> None:
        """Tell what the start brought with it and is still so."""
        if not self._early or self._is_starting():
            return
        early, self._early = sorted(self._early), set()
        for cause in early:
            held = causes.get(cause)
            if held is not None and held.gone_ms is None:
                self.follow(causes, cause, held.reason)

    def _is_starting(self) -> bool:
        return self._clock.mono_ms() - self._started_ms < _START_MS

    def close(self) -> None:
        """Let the webhook send what is left; a few seconds at most, for what is critical."""
        if self._webhook is not None:
            self._webhook.close()

"""`alerts test` and the doctors' look at a webhook, for both sides: a finding and its fix."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from bridge_core.host.alert_settings import Destination, Format
from bridge_core.host.outbox import Alert, Item
from bridge_core.host.webhook import Origin, Post, Posted, headers_of, post, reachable, render
from bridge_core.protocol.alerts import AlertCode, Severity

__all__ = ["OFF", "Tried", "look_at", "try_out"]

OFF: Final = (
    'there is no [alerts] in {file}: add it with format = "json" (or telegram, slack), and '
    "ALERT_URL and ALERT_KEY to alerts.env beside it"
)
_MS: Final = 1_000_000


class Tried(NamedTuple):
    """What came of one test alert. `exit` 0 delivered, 1 refused, 2 nobody answered."""

    exit: int
    status: int
    ms: int
    finding: str
    fix: str = ""
    answer: str = ""


def try_out(destination: Destination, origin: Origin, send: Post = post) -> Tried:
    """Send one alert TEST, whatever `min_severity` says; waits for the answer."""
    alert = Alert(
        code=AlertCode.TEST, severity=Severity.INFO, time=time.time_ns() // _MS,
        message="this is a test of the alerts; nothing is wrong",
    )  # fmt: skip
    body = render(Item(sequence=1, alert=alert), origin, destination)
    begun = time.monotonic_ns()
    posted = send(destination, body, headers_of(destination, body, int(time.time())))
    ms = (time.monotonic_ns() - begun) // _MS
    where = destination.where
    if posted.delivered:
        return Tried(0, posted.status, ms, f"{where} took it: {posted.why}, {ms} ms")
    if posted.status:
        finding = f"{where} did not take it: {posted.why}"
        return Tried(1, posted.status, ms, finding, _fix(destination, posted), posted.answer)
    return Tried(2, 0, ms, f"{where}: {posted.why}", _fix(destination, posted))


def look_at(destination: Destination) -> tuple[bool, str, str]:
    """Connect without sending anything: whether it answers, the finding, the fix."""
    posted = reachable(destination)
    told = f"{destination.format}, from {destination.min_severity} up"
    if posted.delivered:
        return True, f"{destination.where} answers ({told}); `alerts test` sends one", ""
    return False, f"{destination.where}: {posted.why}", _fix(destination, posted)


def _fix(destination: Destination, posted: Posted) -> str:
    match posted.status:
        case 0:
            return "start the receiver, or open the way to it (firewall, name, certificate)"
        case 400 if destination.format is Format.TELEGRAM:
            return "look at ALERT_CHAT, and write to the bot once, so that it may answer"
        case 401 | 403:
            return "look at ALERT_KEY, or the token in ALERT_URL"
        case 404 | 410:
            return "look at the path in ALERT_URL"
        case status if 300 <= status < 400:
            return "it redirects, which is not followed: name the final address in ALERT_URL"
        case 429:
            return "wait a minute: the receiver takes no more for now"
        case status if status >= 500:
            return "look at the receiver's own log"
        case _:
            return "look at ALERT_URL, and `format` in [alerts]"

"""The one door through which alerts leave a machine: signed POSTs from a thread of their own.

Whoever raises an alert never waits and never sees an error. No redirect is followed, no proxy of
the environment is used, and no log line or error shows the address: it may hold a token.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from bridge_core.host.alert_settings import Destination, Format
from bridge_core.host.logs import redact
from bridge_core.host.outbox import Alert, Item, Outbox
from bridge_core.protocol import limits
from bridge_core.protocol.alerts import rank

if TYPE_CHECKING:
    from http.client import HTTPConnection
    from ssl import SSLContext

__all__ = [
    "SCHEMA", "Origin", "Post", "Posted", "Webhook", "headers_of", "post", "reachable", "render",
    "sign",
]  # fmt: skip

SCHEMA: Final = "bridge.alert/1"
_POST_S: Final = limits.ALERT_POST_MS_MAX / 1000
_CLOSE_S: Final = 1.0
_ANSWER_BYTES_MAX: Final = 1_024
_TEXT_CHARS_MAX: Final = 1_000
# What may well be taken the next time although it says 4xx: timeout, too early, too many.
_LATER: Final = frozenset({408, 425, 429})


class Origin(NamedTuple):
    """Who alerts: the account, its mode, which side, and the server's run (empty elsewhere)."""

    account: str
    mode: str
    by: str
    incarnation: str = ""


class Posted(NamedTuple):
    """What came of one try. `status` 0: nobody answered; `why` is for people, without secrets."""

    status: int
    why: str
    wait_ms: int | None = None
    answer: str = ""

    @property
    def delivered(self) -> bool:
        """Return whether the receiver has taken it."""
        return 200 <= self.status < 300

    @property
    def for_good(self) -> bool:
        """Return whether the same message will be refused again."""
        return 300 <= self.status < 500 and self.status not in _LATER


# Level, event, fields: as log_event without its logger.
Say = Callable[[str, str, dict[str, object]], None]
Post = Callable[[Destination, bytes, dict[str, str]], Posted]


# --- what is sent ------------------------------------------------------------------------------


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in redact(text))[:_TEXT_CHARS_MAX]


def _moment(ms: int) -> str:
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def _sentence(item: Item, origin: Origin) -> str:
    alert = item.alert
    more = f" (and {item.repeated} more)" if item.repeated and item.sequence else ""
    whose = f"{origin.account} {origin.mode.upper()}"
    head = f"[{_plain(alert.severity).upper()}] {whose} {_plain(alert.code)}"
    return f"{head}\n{_plain(alert.message)}{more}\n{_moment(alert.time)} by {origin.by}"


def render(item: Item, origin: Origin, destination: Destination) -> bytes:
    """Return the body of one message in the destination's format."""
    if destination.format is Format.TELEGRAM:
        # Without parse_mode: nothing in the text can be markup.
        told: dict[str, object] = {"chat_id": destination.chat, "text": _sentence(item, origin)}
    elif destination.format is Format.SLACK:
        text = _sentence(item, origin)
        for letter, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(letter, safe)  # so that no message can ping a channel
        told = {"text": text, "mrkdwn": False}
    else:
        alert = item.alert
        told = {
            "schema": SCHEMA, "account": origin.account, "mode": origin.mode, "by": origin.by,
            "code": alert.code, "severity": alert.severity, "message": _plain(alert.message),
            "subject": _plain(alert.subject), "time": alert.time, "at": _moment(alert.time),
            "incarnation": origin.incarnation, "sequence": item.sequence,
            "repeated": item.repeated,
        }  # fmt: skip
    return msgspec.json.encode(told)


def sign(key: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of X-Bridge-Signature for a body sent at `timestamp` (UTC s, as text)."""
    mac = hmac.new(key, timestamp.encode("ascii") + b"." + body, hashlib.sha256)
    return f"v1={mac.hexdigest()}"


def headers_of(destination: Destination, body: bytes, now_s: int) -> dict[str, str]:
    """Return the headers of one try; each is signed anew, for its own second."""
    found = {"Content-Type": "application/json", "User-Agent": "zero-trust-bridge"}
    if destination.key:
        stamp = str(now_s)
        found["X-Bridge-Timestamp"] = stamp
        found["X-Bridge-Signature"] = sign(destination.key, stamp, body)
    return found


# --- one try -----------------------------------------------------------------------------------


def post(destination: Destination, body: bytes, headers: dict[str, str]) -> Posted:
    """POST once, within ALERT_POST_MS_MAX as a whole; raises nothing."""
    import http.client  # noqa: PLC0415  (only who sends pays for it)

    connection = _connection(destination)
    # The timeout of a socket is for each read: whoever drips bytes could hold us for ever.
    late = threading.Event()
    cut = threading.Timer(_POST_S, _cut, (connection, late))
    cut.daemon = True
    cut.start()
    try:
        connection.request("POST", bytes(destination.target).decode("ascii"), body, headers)
        response = connection.getresponse()
        answer = response.read(_ANSWER_BYTES_MAX).decode("utf-8", "replace")
        if late.is_set():  # what was cut off may look whole
            return Posted(0, _why(TimeoutError()))
        wait = _wait_ms(response.getheader("Retry-After"))
        return Posted(response.status, f"HTTP {response.status}", wait, _plain(answer))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Posted(0, _why(TimeoutError() if late.is_set() else error))
    finally:
        cut.cancel()
        connection.close()


def _connection(destination: Destination) -> HTTPConnection:
    import http.client  # noqa: PLC0415

    if destination.tls:
        return http.client.HTTPSConnection(
            destination.host, destination.port, timeout=_POST_S,
            context=_tls_context(),
        )  # fmt: skip
    return http.client.HTTPConnection(destination.host, destination.port, timeout=_POST_S)


@cache
def _tls_context() -> SSLContext:
    import ssl  # noqa: PLC0415

    return ssl.create_default_context()


def _cut(connection: HTTPConnection, late: threading.Event) -> None:
    import socket  # noqa: PLC0415

    late.set()
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _why(error: Exception) -> str:
    """Return a sentence of our own: a library's text may show the address."""
    import socket  # noqa: PLC0415
    import ssl  # noqa: PLC0415

    match error:
        case ssl.SSLCertVerificationError():
            return "its certificate is not trusted"
        case ssl.SSLError():
            return "it does not speak TLS as we do"
        case socket.gaierror():
            return "its name is not known"
        case ConnectionRefusedError():
            return "it refused the connection"
        case TimeoutError():
            return f"no answer within {_POST_S:g} s"
        case OSError():
            return "the connection ended without an answer"
        case _:
            return "its answer is not HTTP"


def _wait_ms(text: str | None) -> int | None:
    # A date is legal too, and nobody sends one: our own back-off does then.
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 10):
        return None
    return int(text) * 1000


def reachable(destination: Destination) -> Posted:
    """Connect, and for https shake hands, without sending anything; raises nothing."""
    import http.client  # noqa: PLC0415

    connection = _connection(destination)
    try:
        connection.connect()
    except (OSError, http.client.HTTPException) as error:
        return Posted(0, _why(error))
    finally:
        connection.close()
    return Posted(200, "it answers")


# --- the thread ----------------------------------------------------------------------------------


class Webhook:
    """A bounded queue and one daemon thread, begun with the first alert."""

    def __init__(
        self,
        destination: Destination,
        origin: Origin,
        say: Say,
        send: Post | None = None,
    ) -> None:
        """Nothing is sent yet. `say` writes a log line; any thread may."""
        self._to, self._origin, self._say = destination, origin, say
        self._post = send if send is not None else post
        self._outbox = Outbox()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._well = True

    def warm(self) -> None:
        """Load now what the first alert would otherwise load while others wait for their turn."""
        _connection(self._to)

    def tell(self, alert: Alert) -> None:
        """Take an alert that is urgent enough; returns at once, from any thread."""
        if rank(alert.severity) < rank(self._to.min_severity):
            return
        with self._wake:
            if self._closing:
                return
            self._outbox.add(alert, _mono_ms())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ztb-alerts", daemon=True)
                self._thread.start()
            self._wake.notify()

    def close(self) -> None:
        """Send what is left, waiting a moment; longer only for what is critical."""
        with self._wake:
            self._closing = True
            if self._thread is None:
                return
            self._outbox.hurry(_mono_ms())
            critical = self._outbox.critical_waiting
            self._wake.notify()
        self._thread.join(limits.ALERT_CLOSE_MS_MAX / 1000 if critical else _CLOSE_S)
        with self._wake:
            left = self._outbox.left()
        if left:
            said = " ".join(f"{code}:{count}" for code, count in left.items())
            self._say("error", "alerts_unsent", {"codes": said, "to": self._to.where})

    def _run(self) -> None:
        while (item := self._next()) is not None:
            body = render(item, self._origin, self._to)
            posted = self._post(self._to, body, headers_of(self._to, body, int(time.time())))
            with self._wake:
                dropped = False
                if posted.delivered:
                    self._outbox.delivered(item)
                else:
                    dropped = self._outbox.failed(
                        item, _mono_ms(), for_good=posted.for_good, wait_ms=posted.wait_ms
                    )
            self._note(item, posted, dropped=dropped)

    def _next(self) -> Item | None:
        with self._wake:
            while True:
                now_ms = _mono_ms()
                item = self._outbox.take(now_ms)
                if item is not None:
                    return item
                if self._closing and not self._outbox.critical_waiting:
                    return None
                due = self._outbox.due_ms(now_ms)
                self._wake.wait(None if due is None else max(1, due - now_ms) / 1000)

    def _note(self, item: Item, posted: Posted, *, dropped: bool) -> None:
        # One line when the receiver goes away, one when it is back, one for each loss.
        if posted.delivered != self._well:
            self._well = posted.delivered
            fields: dict[str, object] = {"state": "delivers", "to": self._to.where}
            if not self._well:
                fields |= {"state": "fails", "why": posted.why, "answer": posted.answer}
            self._say("info" if self._well else "warning", "webhook", fields)
        if dropped:
            alert = item.alert
            fields = {"code": alert.code, "severity": alert.severity, "why": posted.why}
            self._say("error", "alert_dropped", fields)


def _mono_ms() -> int:
    return time.monotonic_ns() // 1_000_000

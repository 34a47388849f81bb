"""How a connection is made, and what its failures mean: each with one sentence and its fix.

Codes and texts are those of `last_error()` in wheel 5.0.6231. Nothing here waits: the link asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from bridge_core.protocol import limits
from bridge_core.protocol.keys import Secret
from bridge_server.backends.mt5_pins import Mt5Pins
from bridge_server.backends.mt5_pipe import Answer

__all__ = [
    "LOG_IN", "LOST_CODES", "OUT_OF_STEP", "Failure", "Joined", "Pace", "Retry", "connect",
    "halting", "lost_why",
]  # fmt: skip

_AUTHORISATION: Final = -6
_UNSUPPORTED: Final = -7
_TIMEOUT: Final = -10005
_NOT_STARTED: Final = -10003
OUT_OF_STEP: Final = -10000
# After one of these the connection is of no use until `initialize` is called again: -10001 stays
# for ever, -10002 turns into -10004, and an answer to another question may be followed by more.
LOST_CODES: Final = frozenset({OUT_OF_STEP, -10001, -10002, -10004})
_REFUSED: Final = frozenset({_AUTHORISATION, _UNSUPPORTED})
_NOT_LOGGED_IN: Final = frozenset({_AUTHORISATION, _TIMEOUT})


class Pace(Struct, frozen=True, kw_only=True):
    """How long what may take, in ms; tests are in more of a hurry."""

    read_ms: int = limits.MT5_READ_MS_MAX
    trade_ms: int = limits.TRADE_CALL_MS_MAX
    connect_ms: int = limits.MT5_CONNECT_MS_MAX
    authorise_ms: int = limits.MT5_AUTHORISE_MS
    beat_ms: int = limits.MT5_BEAT_PERIOD_MS
    stale_ms: int = limits.MT5_STALE_MS
    retry_ms_min: int = limits.MT5_RETRY_MS_MIN
    retry_ms_max: int = limits.MT5_RETRY_MS_MAX
    refused_ms: int = limits.MT5_REFUSED_MS


class Joined(Struct, frozen=True):
    """Connected: the first look at terminal and account."""

    terminal: Mapping[str, object]
    account: Mapping[str, object]


class Failure(Struct, frozen=True):
    """Not connected: the code, why in one sentence with the fix.

    `refused`: do not hurry; `waits`: for something that ends by itself, so look again soon.
    """

    code: int
    why: str
    refused: bool = False
    waits: bool = False


# Asks the worker to CONNECT with these words and this password, or for a BEAT.
Connects = Callable[[dict[str, object], str], Answer]
Beats = Callable[[], tuple[Answer, Answer]]


def connect(
    connects: Connects, beats: Beats, pins: Mt5Pins | None, password: Secret, pace: Pace
) -> Joined | Failure:
    """Connect to the terminal as it is logged in; log it in only if it is not.

    The pipe to the terminal can be served by anybody who takes its name first, so a password goes
    over it only when there is no other way. Another login than the pinned one was chosen by a
    person: it is reported, never switched away from.
    """
    words: dict[str, object] = {"timeout": pace.authorise_ms}
    first = connects(words, "")
    found = _look(beats) if first.ok else _failure(first, pins)
    missing = isinstance(found, Failure) and found.code in _NOT_LOGGED_IN
    if not missing or not password or pins is None:
        return found
    words |= {"login": pins.login, "server": pins.server}
    second = connects(words, password.decode("utf-8"))
    return _look(beats) if second.ok else _failure(second, pins, tried=True)


def _look(beats: Beats) -> Joined | Failure:
    terminal, account = beats()
    for one in (terminal, account):
        if not one.ok:
            return _failure(one, None)
    if not isinstance(terminal.value, dict) or not isinstance(account.value, dict):
        return Failure(0, "the terminal does not describe itself: update terminal and package")
    if not account.value.get("login"):
        return Failure(_AUTHORISATION, LOG_IN, refused=True)
    return Joined(terminal.value, account.value)


LOG_IN: Final = (
    "the terminal is not logged in: log in by hand once and let it save the password, "
    "or set MT5_PASSWORD in the .env file"
)
_WHY: Final[dict[int, str]] = {
    -1: "the terminal refuses: look at its Journal tab",
    -2: "the terminal does not understand the package: update both",
    -5: "terminal and package do not fit together: update the older one",
    _UNSUPPORTED: (
        "the account wants a one-time or certificate password: log in by hand in the terminal"
    ),
    _TIMEOUT: (
        "the terminal did not log in to its broker in time: log in by hand once and let it save "
        "the password, and check that mt5.portable is how the terminal was started"
    ),
    OUT_OF_STEP: "the terminal's answers are out of step: a new worker is started",
    -10001: (
        "the terminal is gone (IPC send failed): it was closed or updates itself; "
        "start it if it does not come back"
    ),
    -10002: (
        "the terminal ended during a call (IPC recv failed): start it if it does not come back"
    ),
    -10004: "there is no connection to the terminal (No IPC connection)",
}


def lost_why(answer: Answer) -> str:
    """Return what an answer without a value says about the connection."""
    return _failure(answer, None).why


def _failure(answer: Answer, pins: Mt5Pins | None, *, tried: bool = False) -> Failure:
    code, said = answer.code, f" ({answer.code} {answer.text})"
    if not code:
        return Failure(0, f"the terminal cannot be reached: {answer.text}")
    if code == _NOT_STARTED:
        absent = "not found" in answer.text or "Process create failed" in answer.text
        why = (
            "the terminal's program is not there: install it, or mend mt5.path"
            if absent
            else "the terminal cannot be started: start it by hand once, as the user of this server"
        )
        return Failure(code, why + said)
    if code == _AUTHORISATION and tried and pins is not None:
        why = f"the broker refuses login {pins.login}: check MT5_PASSWORD and terminal.server"
        return Failure(code, why + said, refused=True)
    why = LOG_IN if code == _AUTHORISATION else _WHY.get(code, "the terminal refuses")
    return Failure(code, why + said, refused=code in _REFUSED)


def halting(terminal: Mapping[str, object], account: Mapping[str, object]) -> str:
    """Return why no order could be executed although the terminal answers, "" if one could."""
    found = (
        (
            not terminal.get("connected"),
            "the terminal has no link to its broker: check its network, or wait for the broker",
        ),
        (
            bool(terminal.get("tradeapi_disabled")),
            "the terminal bars Python: allow it in Tools, Options, Expert Advisors",
        ),
        (
            not terminal.get("trade_allowed"),
            "Algo Trading is off: press the Algo Trading button of the terminal",
        ),
        (
            not account.get("trade_allowed"),
            "this login may not trade: log in with the trading password, not the investor's",
        ),
        (
            not account.get("trade_expert"),
            "the broker allows no automatic trading on this account: ask the broker",
        ),
    )
    return next((words for holds, words in found if holds), "")


class Retry:
    """When to try next: growing, slower still after a refusal, from the start after a while up."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._failed = 0

    def pause_ms(self, failure: Failure | None = None) -> int:
        """Return how long to wait before the next try, after a failed one or a lost connection."""
        if failure is not None and failure.waits:
            return self._pace.retry_ms_min
        refused = failure is not None and failure.refused
        grown = self._pace.retry_ms_min << min(self._failed, 16)
        self._failed += 1
        return self._pace.refused_ms if refused else min(grown, self._pace.retry_ms_max)

    def lasted(self, up_ms: int) -> None:
        """Say how long a connection has lasted: one that held begins anew."""
        if up_ms >= self._pace.retry_ms_max // 2:
            self._failed = 0

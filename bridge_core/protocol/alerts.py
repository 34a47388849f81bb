"""Alerts: what a person must hear of, how urgent it is, and what to do (protocol.md 10).

One table for the server, the connector and the EA. Codes are never renamed or reused; a code that
this version does not know is shown as it came.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["ALERTS", "AlertCode", "AlertInfo", "Severity", "rank", "severity_of"]


class Severity(StrEnum):
    """How urgent it is, mildest first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class AlertCode(StrEnum):
    """Every code that an alert of this version may carry."""

    OPERATOR = "OPERATOR"
    DRAWDOWN = "DRAWDOWN"
    BREAKER = "BREAKER"
    DAILY_LOSS = "DAILY_LOSS"
    IDENTITY = "IDENTITY"
    GHOST_FILL = "GHOST_FILL"
    COUNTER = "COUNTER"
    EA_TWICE = "EA_TWICE"
    CLOCK_HIGH_WATER = "CLOCK_HIGH_WATER"
    JOURNAL_FATAL = "JOURNAL_FATAL"
    JOURNAL_FULL = "JOURNAL_FULL"
    CLOCK = "CLOCK"
    BROKER_LINK = "BROKER_LINK"
    EA_STALE = "EA_STALE"
    HEARTBEAT = "HEARTBEAT"
    STALE_ACCOUNT = "STALE_ACCOUNT"
    CAUSE_ENDED = "CAUSE_ENDED"
    UNKNOWN = "UNKNOWN"
    STOPS_NOT_SET = "STOPS_NOT_SET"
    HALTED = "HALTED"
    DEAD_MAN_LEFT = "DEAD_MAN_LEFT"
    ORPHANS = "ORPHANS"
    ORPHANS_KNOWN = "ORPHANS_KNOWN"
    SELF_TEST = "SELF_TEST"
    SERVER_FAILED = "SERVER_FAILED"
    BROKER_DOWN = "BROKER_DOWN"
    PRICES = "PRICES"
    EA_LIED = "EA_LIED"
    EA_CONTRADICTS = "EA_CONTRADICTS"
    EA_KEY = "EA_KEY"
    EA_KEY_FILE = "EA_KEY_FILE"
    JOURNAL = "JOURNAL"
    STATE_FILE = "STATE_FILE"
    STATE_LOST = "STATE_LOST"
    RECONCILING = "RECONCILING"
    ZONE = "ZONE"
    SERVER_LIED = "SERVER_LIED"
    LOG_FORK = "LOG_FORK"
    EVENT_FORK = "EVENT_FORK"
    STREAM_STALE = "STREAM_STALE"
    LINK_DOWN = "LINK_DOWN"
    LINK_UP = "LINK_UP"
    ALERTS_LOST = "ALERTS_LOST"
    TEST = "TEST"


class AlertInfo(NamedTuple):
    """One row: how urgent, what it means, who says it, what to do."""

    severity: Severity
    meaning: str
    by: str
    fix: str


_C, _S = AlertCode, Severity
_RESUME: Final = "find out why, then `ztb resume --operator DIR --cause {code} --reason TEXT`"
ALERTS: Final[dict[AlertCode, AlertInfo]] = {
    # The causes of the trading state (12): each alerts by itself when it lowers the state.
    _C.OPERATOR: AlertInfo(
        _S.CRITICAL, "somebody halted the account; `warning` if only to REDUCE_ONLY", "server",
        _RESUME,
    ),
    _C.DRAWDOWN: AlertInfo(
        _S.CRITICAL, "the account lost more from its peak than its limit", "server", _RESUME
    ),
    _C.BREAKER: AlertInfo(
        _S.ERROR, "too much went wrong in a row: only reducing is allowed", "server", _RESUME
    ),
    _C.DAILY_LOSS: AlertInfo(
        _S.ERROR, "the day's loss reached its limit: only reducing is allowed", "server",
        "wait for the broker's next trading day, or resume as `ztb health` says",
    ),
    _C.IDENTITY: AlertInfo(
        _S.CRITICAL, "the terminal shows another account than the pinned one", "server, EA",
        _RESUME,
    ),
    _C.GHOST_FILL: AlertInfo(
        _S.CRITICAL, "an order that was concluded absent turned up, or a tag twice", "server",
        _RESUME,
    ),
    _C.COUNTER: AlertInfo(
        _S.CRITICAL, "more was about to go out than came in, or an orphan is there", "server",
        _RESUME,
    ),
    _C.EA_TWICE: AlertInfo(
        _S.CRITICAL, "two EAs of one account speak to this server", "server", _RESUME
    ),
    _C.CLOCK_HIGH_WATER: AlertInfo(
        _S.CRITICAL, "the server's clock is behind its last run", "server",
        "set the clock right, then `ztb resume --operator DIR --cause CLOCK_HIGH_WATER`",
    ),
    _C.JOURNAL_FATAL: AlertInfo(
        _S.CRITICAL, "the journal failed and the server ends; orders may be UNKNOWN", "server, EA",
        "mend the disk, start the server, then `ztb resume --operator DIR --cause JOURNAL_FATAL`",
    ),
    _C.JOURNAL_FULL: AlertInfo(
        _S.ERROR, "the journal's disk is full: no entries", "server, EA", "free space on that disk"
    ),
    _C.CLOCK: AlertInfo(
        _S.ERROR, "the server's clock jumped: entries wait until it is stable", "server",
        "check time synchronisation on the server (`w32tm /query /status`)",
    ),
    _C.BROKER_LINK: AlertInfo(
        _S.ERROR, "the terminal, or its broker, does not answer", "server",
        "look at the terminal; `ztb health` says since when",
    ),
    _C.EA_STALE: AlertInfo(
        _S.ERROR, "the EA is not heard any more", "server", "look at the terminal's tab Experts"
    ),
    _C.HEARTBEAT: AlertInfo(
        _S.CRITICAL, "the strategy is silent: the dead-man's switch has fired", "server, EA",
        "look at the strategy's machine (docs/strategy-machine-is-gone.md)",
    ),
    _C.STALE_ACCOUNT: AlertInfo(
        _S.ERROR, "the account's data is too old to judge by", "server", "look at the terminal"
    ),
    _C.CAUSE_ENDED: AlertInfo(
        _S.INFO, "a cause that lowered the trading state has ended", "server", "nothing"
    ),
    # Orders, and what the server finds about itself.
    _C.UNKNOWN: AlertInfo(
        _S.ERROR, "nobody can tell yet whether an order was executed", "server",
        "`ztb wait ORDER`; its symbol takes no entries meanwhile",
    ),
    _C.STOPS_NOT_SET: AlertInfo(
        _S.ERROR, "an order is filled and has not the stops it was sent with", "server, EA",
        "set them, or close the position",
    ),
    _C.HALTED: AlertInfo(
        _S.ERROR, "the file `halted` could not be written or removed", "server", "check the disk"
    ),
    _C.DEAD_MAN_LEFT: AlertInfo(
        _S.CRITICAL, "what the dead-man's switch clears away is not clear yet", "server, EA",
        "look at the terminal; `ztb positions`, `ztb flatten`",
    ),
    _C.ORPHANS: AlertInfo(
        _S.WARNING, "more tickets than orphans_max are not of this account's orders", "server",
        "`ztb positions` shows whose they are",
    ),
    _C.ORPHANS_KNOWN: AlertInfo(
        _S.INFO, "tickets that were there before `exclusive` was set are taken as known", "server",
        "nothing, if they are yours",
    ),
    _C.SELF_TEST: AlertInfo(
        _S.CRITICAL, "an unknown key is not refused on the server's sockets, or nobody gets in",
        "server", "restart the server",
    ),
    _C.SERVER_FAILED: AlertInfo(
        _S.CRITICAL, "the server ends because of an error of its own", "server",
        "read log/server.log, start it again, report it",
    ),
    _C.BROKER_DOWN: AlertInfo(
        _S.ERROR, "the paper broker's store failed", "server", "look at the disk of paper.db"
    ),
    _C.PRICES: AlertInfo(
        _S.ERROR, "the paper broker's price file cannot be read further", "server",
        "mend the named line",
    ),
    # The EA.
    _C.EA_LIED: AlertInfo(
        _S.CRITICAL, "a word of the EA does not fit the order it is about", "server",
        "stop the EA and find out what runs in the terminal",
    ),
    _C.EA_CONTRADICTS: AlertInfo(
        _S.CRITICAL, "the EA's record says otherwise than the server", "server",
        "`ztb trace ORDER`; the EA's word holds",
    ),
    _C.EA_KEY: AlertInfo(
        _S.ERROR, "the EA has no key to attest an order", "EA", "give the EA its newest bridge.key"
    ),
    _C.EA_KEY_FILE: AlertInfo(
        _S.WARNING, "the EA does not use its changed key file", "EA", "mend the file it names"
    ),
    _C.JOURNAL: AlertInfo(
        _S.ERROR, "the EA's journal could not be opened", "EA", "look at MQL4/Files and its disk"
    ),
    _C.STATE_FILE: AlertInfo(
        _S.ERROR, "the EA could not write its state file", "EA", "look at MQL4/Files and its disk"
    ),
    _C.STATE_LOST: AlertInfo(
        _S.ERROR, "the EA's state file was damaged: it started from the safe side", "EA",
        "check its state with `ztb health`",
    ),
    _C.RECONCILING: AlertInfo(
        _S.WARNING, "the EA searches the broker's records for an order's outcome", "EA",
        "`ztb wait ORDER`",
    ),
    _C.ZONE: AlertInfo(
        _S.WARNING, "the broker's clock changed its zone, as the EA reads it", "EA",
        "compare with the broker's notice of its summer time",
    ),
    # What only the connector sees.
    _C.SERVER_LIED: AlertInfo(
        _S.CRITICAL, "the server's word and the EA's disagree", "connector",
        "treat the server as hostile: look at the terminal by hand",
    ),
    _C.LOG_FORK: AlertInfo(
        _S.CRITICAL, "the server's record no longer extends what this connector saw", "connector",
        "find out why, then `ztb audit accept --operator DIR --reason TEXT`",
    ),
    _C.EVENT_FORK: AlertInfo(
        _S.CRITICAL, "one event number was told twice, with other content", "connector",
        "treat the server as hostile",
    ),
    _C.STREAM_STALE: AlertInfo(
        _S.WARNING, "no event and no heartbeat for 3 s", "connector", "`ztb ping`, `ztb health`"
    ),
    _C.LINK_DOWN: AlertInfo(
        _S.ERROR, "the connection to the server is lost", "connector",
        "`ztb doctor`; docs/server-is-gone.md",
    ),
    _C.LINK_UP: AlertInfo(
        _S.INFO, "the connection to the server is back", "connector", "nothing"
    ),
    # The door itself.
    _C.ALERTS_LOST: AlertInfo(
        _S.WARNING, "alerts could not be delivered and were dropped", "server, connector",
        "read the log for them; look at the webhook's receiver",
    ),
    _C.TEST: AlertInfo(
        _S.INFO, "somebody ran `alerts test`", "server, connector", "nothing"
    ),
}  # fmt: skip
ALERTS.update(
    {code: row._replace(fix=row.fix.replace("{code}", code)) for code, row in ALERTS.items()}
)

assert set(ALERTS) == set(AlertCode)

_RANKS: Final[dict[str, int]] = {severity.value: number for number, severity in enumerate(Severity)}


def rank(severity: str) -> int:
    """Return how urgent a severity is; a word of another version counts as a warning."""
    return _RANKS.get(severity, _RANKS[Severity.WARNING])


def severity_of(code: str) -> str:
    """Return the table's severity of a code; one of another version is a warning."""
    info = next((row for known, row in ALERTS.items() if known == code), None)
    return Severity.WARNING if info is None else info.severity

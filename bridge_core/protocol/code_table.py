"""What each code means, who says it, whether to retry, what to do (protocol.md 8)."""

from __future__ import annotations

from typing import Final

from bridge_core.protocol.codes import CodeInfo, ReasonCode
from bridge_core.protocol.risk_codes import RISK_CODES

__all__ = ["CODES"]

_C = ReasonCode
_NEW: Final = "as a new order"
_NO: Final = "no"

CODES: Final[dict[ReasonCode, CodeInfo]] = {
    _C.NONE: CodeInfo("nothing to explain", "-", "-", "nothing"),
    _C.NO_CONNECTION: CodeInfo(
        "no authenticated connection when the order was to be signed; nothing left this machine",
        "connector",
        _NEW,
        "run `ztb health`; start the server or mend the network",
    ),
    _C.CLOCK_SKEW: CodeInfo(
        "two clocks differ by more than the bound: this machine's and the server's, or the EA's",
        "connector or server",
        _NEW,
        "synchronise both clocks (`timedatectl status`, `w32tm /query /status`)",
    ),
    _C.UNFINISHED: CodeInfo(
        "an order of this symbol from before a restart is not final, or GET_JOURNAL is unread",
        "connector",
        _NEW,
        "run `ztb wait`, or `ztb fence ORDER`",
    ),
    _C.LOG_FORK: CodeInfo(
        "the server's record no longer extends what this connector saw",
        "connector",
        _NO,
        "find out why, then `ztb audit accept --operator DIR --reason TEXT`",
    ),
    _C.SCOPE: CodeInfo(
        "this key may not ask for this operation", "server", _NO, "use a bundle of another scope"
    ),
    _C.CONFLICT: CodeInfo(
        "the request id is known with other bytes", "server", _NO, "a bug: report it with the rid"
    ),
    _C.REPLAYED: CodeInfo(
        "this query was answered once already", "server", "with a new request id", "ask again"
    ),
    _C.REPLAY_MEMORY_FULL: CodeInfo(
        "more requests than the server remembers", "server", "later", "ask less often"
    ),
    _C.STALE_INCARNATION: CodeInfo(
        "signed for an earlier run of the server; this copy will never run",
        "server",
        "as a new order once the old one is final",
        "GET_STATUS or FENCE tells what an earlier copy did",
    ),
    _C.CLOCK: CodeInfo(
        "the server's clock jumped; entries wait until it is stable",
        "server",
        "later",
        "check time synchronisation on the server (`w32tm /query /status`)",
    ),
    _C.TTL_TOO_LONG: CodeInfo(
        "the order's life is longer than the server accepts",
        "server",
        "with a shorter ttl",
        "lower `ttl_ms` in connector.toml, or raise --signature-ttl (10 s at most)",
    ),
    _C.NOT_YET_VALID: CodeInfo(
        "signed in the future", "server", _NEW, "synchronise the clocks of both machines"
    ),
    _C.EXPIRED: CodeInfo(
        "the deadline (iat + ttl) passed before the order could run",
        "server or executor",
        _NEW,
        "look at `ztb ping`: slow network, or skewed clocks",
    ),
    _C.BODY: CodeInfo(
        "the body is not exactly what protocol.md 5 asks for", "server", _NO, "mend the client"
    ),
    _C.DUPLICATE_ID: CodeInfo(
        "the client_order_id belongs to another order, which the reply carries",
        "server",
        "under another client_order_id",
        "look at the order that has it: `ztb status ID`",
    ),
    _C.SEQUENCE: CodeInfo(
        "a heartbeat's sequence did not exceed the last", "server", _NO, "one sender per client"
    ),
    _C.RATE: CodeInfo(
        "too many messages for this lane", "server or connector", "later", "slow the strategy down"
    ),
    _C.BUSY: CodeInfo(
        "too many orders are waiting for the broker", "server", "later", "wait for the open ones"
    ),
    _C.STOPPING: CodeInfo("the server is shutting down", "server", _NEW, "start the server again"),
    _C.HALTED: CodeInfo(
        "the kill switch is on: no new exposure",
        "server or connector",
        _NO,
        "`ztb health` names the cause; `ztb resume --operator DIR` ends it",
    ),
    _C.REDUCE_ONLY: CodeInfo(
        "only orders that reduce exposure pass",
        "server or connector",
        _NO,
        "`ztb health` names the cause and what ends it",
    ),
    _C.UNKNOWN_ORDER_OPEN: CodeInfo(
        "an order of this symbol is UNKNOWN; its symbol takes no entries",
        "server",
        "once it is final",
        "`ztb wait`; `ztb settle` as the last resort",
    ),
    _C.BROKER_DOWN: CodeInfo(
        "the terminal or broker is not connected; nothing was sent",
        "server",
        _NEW,
        "run `ztb health`, look at the terminal",
    ),
    _C.EA_KEY: CodeInfo(
        "the EA does not hold this key id; nothing was sent",
        "server",
        _NEW,
        "copy the account's ea/bridge.key into the terminal's MQL4/Files again",
    ),
    **RISK_CODES,
    _C.JOURNAL_FULL: CodeInfo(
        "the journal's disk is full; nothing was sent", "server", _NEW, "free space on the disk"
    ),
    _C.JOURNAL_FATAL: CodeInfo(
        "the journal failed; the server stops", "server", _NO, "check the disk, then restart"
    ),
    _C.FENCED: CodeInfo(
        "a FENCE ended it before it began", "server or executor", _NEW, "nothing: it is dead"
    ),
    _C.ABORTED_RESTART: CodeInfo(
        "the server restarted before the order was handed on", "server", _NEW, "nothing"
    ),
    _C.ACCOUNT_MISMATCH: CodeInfo(
        "the terminal is logged in to another account than configured",
        "server or executor",
        _NO,
        "log the terminal in to the right account, then `ztb resume --operator DIR`",
    ),
    _C.SUPERSEDED: CodeInfo(
        "a later MODIFY of this ticket was applied first", "server", _NO, "nothing"
    ),
    _C.CHANGED: CodeInfo(
        "the stops are no longer what the strategy saw", "executor", _NEW, "read them again"
    ),
    _C.PRICE_MOVED: CodeInfo(
        "the market left the reference price by more than the deviation",
        "executor",
        _NEW,
        "quote again, or allow more deviation",
    ),
    _C.ABSENT: CodeInfo(
        "proven by the broker's own records: it never happened", "server", _NEW, "nothing"
    ),
    _C.REQUOTE: CodeInfo("the broker offered another price", "broker", _NEW, "quote again"),
    _C.PRICE_OFF: CodeInfo("the broker has no price now", "broker", _NEW, "quote again"),
    _C.NO_MONEY: CodeInfo("not enough free margin", "broker", _NEW, "trade less"),
    _C.MARKET_CLOSED: CodeInfo("the market is closed", "broker", _NEW, "wait for the session"),
    _C.TRADE_DISABLED: CodeInfo(
        "trading is switched off", "executor or broker", _NO, "enable what the message names"
    ),
    _C.INVALID_VOLUME: CodeInfo("the broker refused the volume", "broker", _NEW, "`ztb symbols`"),
    _C.INVALID_PRICE: CodeInfo("the broker refused the price", "broker", _NEW, "quote again"),
    _C.INVALID_STOPS: CodeInfo("the broker refused sl or tp", "broker", _NEW, "move them"),
    _C.INVALID_TICKET: CodeInfo("the ticket is gone at the broker", "broker", _NO, "nothing"),
    _C.TOO_MANY_ORDERS: CodeInfo("the broker's own order limit", "broker", _NEW, "cancel one"),
    _C.BROKER_REJECTED: CodeInfo("it was refused", "executor or broker", _NEW, "see the retcode"),
    _C.NOT_SEEN: CodeInfo("this request id never arrived", "server", _NO, "FENCE it, to be sure"),
    _C.NO_ANSWER: CodeInfo("the broker did not answer", "server", _NO, "`ztb wait`"),
    _C.RECONCILING: CodeInfo("the broker's records are being searched", "server", _NO, "wait"),
    _C.BROKER_BUSY: CodeInfo("the broker call before it still runs", "server", "later", "wait"),
    _C.EA_UNATTESTED: CodeInfo("the EA's word has not arrived", "connector", _NO, "`ztb wait`"),
    _C.SERVER_LIED: CodeInfo(
        "the server's word and the EA's disagree", "connector", _NO, "treat the server as hostile"
    ),
    _C.STOPS_NOT_SET: CodeInfo(
        "filled, but sl or tp is not set", "executor", _NO, "an EA sets them (14.5), else MODIFY"
    ),
    _C.CHILD_FAILED: CodeInfo(
        "at least one ticket of a FLATTEN was not closed", "server", "as a new FLATTEN", "see it"
    ),
    _C.SETTLE_REFUSED: CodeInfo(
        "evidence contradicts the operator's word, or the order is not UNKNOWN",
        "server",
        _NO,
        "`ztb trace ORDER`",
    ),
    _C.NOT_LATCHED: CodeInfo(
        "the cause is not a latch in force, so there is nothing to resume",
        "server",
        _NO,
        "`ztb health` lists the causes in force",
    ),
    _C.HUMAN: CodeInfo("settled by an operator's word", "operator", _NO, "nothing"),
}

assert set(CODES) == set(ReasonCode)

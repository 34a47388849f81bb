"""What each field on the wire means: unit and one line, for the tables of protocol.md.

A field that is missing here fails the drift test, so none goes out unexplained.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["COMMON", "SPECIAL", "Note", "note_of"]


class Note(NamedTuple):
    """A unit ("" where there is none) and what the field says."""

    unit: str
    means: str


_N = Note
COMMON: Final[dict[str, Note]] = {
    # who and what
    "rid": _N("", "request id"),
    "client_order_id": _N("", "the strategy's own id of the order"),
    "client": _N("", "name of the connector's client (one journal each)"),
    "kid": _N("", "key id that signed the order"),
    "op": _N("", "operation"),
    "symbol": _N("", "the broker's exact spelling"),
    "type": _N("", "BUY SELL BUY_LIMIT SELL_LIMIT BUY_STOP SELL_STOP"),
    "ticket": _N("", "the broker's number of the position or pending order"),
    "deal": _N("", "the broker's number of the execution"),
    "order": _N("", "the broker's number of the order behind it"),
    "magic": _N("", "the number the broker shows (5.7)"),
    "strategy": _N("", "strategy number, the upper 12 bits of the magic"),
    "comment": _N("", "the user's comment"),
    "origin": _N("", "`ours` or `foreign`"),
    # numbers of a trade
    "volume": _N("lots", "volume"),
    "price": _N("quote currency", "price"),
    "open_price": _N("quote currency", "price at which the position was opened"),
    "current_price": _N("quote currency", "price at which it would be closed now"),
    "close_price": _N("quote currency", "price at which it was closed"),
    "sl": _N("quote currency", "stop loss, `0` = none"),
    "tp": _N("quote currency", "take profit, `0` = none"),
    "bid": _N("quote currency", "bid"),
    "ask": _N("quote currency", "ask"),
    "deviation": _N("points", "largest tolerated distance from `price`; 0 = none tolerated"),
    "expiration": _N("UTC ms", "when a pending order expires at the broker, 0 = never"),
    "remaining_volume": _N("lots", "what is left of the position after a partial close"),
    "remaining_ticket": _N("", "ticket of the remainder where the broker gives it a new one"),
    # money
    "profit": _N("account currency", "profit without swap and commission"),
    "swap": _N("account currency", "swap"),
    "commission": _N("account currency", "commission, negative = paid"),
    "net_profit": _N("account currency", "profit + swap + commission"),
    "balance": _N("account currency", "balance"),
    "equity": _N("account currency", "equity"),
    "margin": _N("account currency", "margin in use, or needed"),
    "free_margin": _N("account currency", "free margin"),
    # outcome
    "status": _N("", "a status of section 7"),
    "code": _N("", "a code of section 8, `-` or absent = none"),
    "by": _N("", "who refused: connector, server, executor, broker; operator after SETTLE"),
    "limit": _N("as the check's", "the bound behind a refusal"),
    "value": _N("as the check's", "the value that was refused"),
    "headroom": _N("as the check's", "what the bound would still allow"),
    "nearest": _N("as the check's", "VOLUME_GRID, PRICE_GRID: the two nearest legal values"),
    "ea": _N("", "the EA's record (14), empty without one"),
    "ea_mac": _N("", "the record's MAC, `-` without one"),
    # time
    "time": _N("UTC ms", "the sender's clock"),
    "since": _N("UTC ms", "since when"),
    # state
    "state": _N("", "trading state: ACTIVE, REDUCE_ONLY or HALTED"),
    "causes": _N("", "causes in force (12)"),
    "cause": _N("", "name of a cause (12)"),
    "reason": _N("", "why, in words"),
    "mode": _N("", "`paper` or `live`"),
    # identity
    "login": _N("", "account number at the broker"),
    "server": _N("", "the broker's server"),
    "kind": _N("", "`paper`, `demo` or `real`"),
    "currency": _N("", "account currency"),
    "margin_mode": _N("", "`hedging` or `netting`"),
    # pages
    "positions": _N("", "open positions"),
    "orders": _N("", "pending orders"),
    "quotes": _N("", "quotes"),
    "total": _N("rows", "how many rows there are, on all pages"),
    "streams": _N("", "last number given in each stream (10)"),
}

SPECIAL: Final[dict[str, dict[str, Note]]] = {
    "Hello": {
        "version": _N("", "the client's version"),
        "sent": _N("UTC ms", "the client's clock when it signed"),
    },
    "Query": {
        "symbol": _N("", "one symbol, empty = all"),
        "from": _N("UTC ms", "GET_HISTORY: from this market time on, 0 = from the beginning"),
        "to": _N("UTC ms", "GET_HISTORY: to this market time, 0 = now"),
        "first": _N("rows", "rows to leave out"),
        "count": _N("rows", "rows wanted, 0 = as many as a page holds"),
    },
    "GetStatus": {
        "rid": _N("", "the order's request id, or empty"),
        "client_order_id": _N("", "its client_order_id, or empty: exactly one of the two is given"),
    },
    "GetRange": {
        "since": _N("UTC ms", "GET_JOURNAL: rows accepted from then on"),
        "first": _N("rows", "GET_JOURNAL: rows to leave out. GET_LOG: first index, from 1"),
        "count": _N("rows", "rows wanted, 0 = as many as a page holds"),
    },
    "Open": {
        "price": _N("quote currency", "pending: its price. Market: the reference, `0` = none"),
        "stops_fail": _N("", "what to do with a filled order whose stops cannot be set"),
    },
    "Close": {
        "ticket": _N("", "the position"),
        "volume": _N("lots", "volume to close, `0` = all"),
    },
    "Modify": {
        "ticket": _N("", "the position or pending order"),
        "price": _N("quote currency", "a pending's new price; `0` keeps price and expiration"),
        "old_sl": _N("quote currency", "the stop loss the strategy saw: else DENIED CHANGED"),
        "old_tp": _N("quote currency", "the take profit the strategy saw: else DENIED CHANGED"),
    },
    "Cancel": {"ticket": _N("", "the pending order")},
    "Flatten": {
        "scope": _N("", "what to clear away"),
        "symbol": _N("", "one symbol, empty = all"),
    },
    "Fence": {
        "rid": _N("", "the request that must never run"),
        "inc": _N("", "the incarnation it was signed for"),
        "iat": _N("UTC ms", "when it was signed"),
        "symbol": _N("", "its symbol, as far as known"),
    },
    "Heartbeat": {"sequence": _N("", "exceeds the last one of this key id")},
    "Resume": {"cause": _N("", "the latch to end (12), or LOG_FORK (11)")},
    "Settle": {
        "rid": _N("", "the UNKNOWN order"),
        "status": _N("", "the operator's word"),
        "ticket": _N("", "its ticket where it has one, else 0"),
    },
    "CauseView": {
        "kind": _N("", "`condition` (ends by itself) or `latch` (ends by RESUME)"),
        "effect": _N("", "the trading state it means"),
        "symbol": _N("", "the one symbol it concerns, empty = the account"),
        "ends": _N("", "what ends it, in words"),
    },
    "HopView": {
        "hop": _N("", "name of the hop"),
        "state": _N("", "`up`, `degraded` or `down`"),
        "why": _N("", "why it is not up"),
        "availability_24h": _N("percent", "of the last 24 h"),
        "availability": _N("percent", "since the start"),
        "ms": _N("ms", "last round trip"),
    },
    "AccountView": {
        "zone_ms": _N("ms", "the broker's clock minus UTC: its trading day; null = not known"),
        "leverage": _N("", "leverage, 100 = 1:100"),
        "margin_level": _N("percent", "equity / margin, empty without margin"),
        "profit": _N("account currency", "floating profit"),
        "market_time": _N("UTC ms", "the broker's last market time"),
        "time": _N("UTC ms", "when the terminal was asked"),
    },
    "PositionView": {
        "type": _N("", "BUY or SELL"),
        "opened_at": _N("UTC ms", "market time of the opening"),
    },
    "PendingView": {"placed_at": _N("UTC ms", "market time of the placing")},
    "DealView": {
        "ticket": _N("", "the position it belongs to"),
        "type": _N("", "BUY or SELL"),
        "entry": _N("", "IN or OUT; INOUT turned a netting position, OUT_BY closed it against "
                        "another"),
        "reason": _N("", "of an OUT: SL TP STOP_OUT MANUAL OURS"),
        "time": _N("UTC ms", "market time"),
    },
    "QuoteView": {
        "time": _N("UTC ms", "market time of the tick"),
        "asked": _N("UTC ms", "when the terminal said it"),
    },
    "SymbolView": {
        "digits": _N("digits", "decimals of a price"),
        "point": _N("quote currency", "smallest step of a price"),
        "volume_min": _N("lots", "smallest volume"),
        "volume_max": _N("lots", "largest volume"),
        "volume_step": _N("lots", "volumes are volume_min + n x volume_step"),
        "contract_size": _N("base currency", "units in one lot"),
        "stops_level": _N("points", "least distance of stops from the market"),
        "freeze_level": _N("points", "nearer than this nothing can be changed"),
        "currency_base": _N("", "base currency"),
        "currency_profit": _N("", "currency of the profit"),
        "allowed": _N("", "whether this server trades it"),
        "tick_size": _N("quote currency", "prices are multiples of it, 0 = of `point`"),
        "tick_value": _N(
            "account currency",
            "what one lot gains or loses by one `tick_size` (else `point`), as the broker says it",
        ),
        "trade_mode": _N("", "FULL, LONGONLY, SHORTONLY, CLOSEONLY or DISABLED; empty = not told"),
        "execution": _N("", "REQUEST, INSTANT, MARKET or EXCHANGE; empty = not told"),
        "filling": _N("", "those of FOK, IOC and RETURN that a market order may have"),
        "session": _N("", "OPEN while ticks come, CLOSED after 5 minutes without one"),
    },
    "DeadManView": {
        "state": _N("", "off, waiting (for the first heartbeat), armed or fired"),
        "policy": _N("", "reduce-only, cancel or flatten"),
        "after_ms": _N("ms", "the silence that fires it"),
        "silent_ms": _N("ms", "how long the last heartbeat is ago, 0 before the first"),
        "fired": _N("UTC ms", "when it fired, 0 if a heartbeat came since"),
        "rid": _N("", "its last FLATTEN, empty if a heartbeat came since"),
        "note": _N("", "what that waits for"),
        "ea": _N("", "what an EA says of its own switch (14.5)"),
    },
    "LimitView": {
        "name": _N("", "name of the limit"),
        "symbol": _N("", "the symbol it holds for, empty = the account"),
        "value": _N("as the limit's", "the limit, empty = off"),
        "used": _N("as the limit's", "what is used of it"),
        "headroom": _N("as the limit's", "what is left of it"),
        "by": _N("", "who holds to it: server, or ea for its caps"),
    },
    "StreamPoint": {"stream": _N("", "name of the stream"), "seq": _N("", "last number given")},
    "HelloReply": {
        "incarnation": _N("", "this run of the server; sign it as `inc`"),
        "time": _N("UTC ms", "the server's clock"),
        "account": _N("", "which account this is"),
        "version": _N("", "the server's version"),
        "protocols": _N("", "protocol versions it speaks"),
        "features": _N("", "what this server can do, as words"),
        "ttl_ms_max": _N("ms", "longest ttl it accepts"),
        "settle_ms": _N("ms", "how long until absence at the broker counts"),
        "attests": _N("", "whether an EA signs its own word (14)"),
        "symbols": _N("", "symbols it trades"),
    },
    "StateReply": {
        "hops": _N("", "HEALTH: the hops behind the server"),
        "started": _N("UTC ms", "HEALTH: when the server started"),
        "open_orders": _N("orders", "HEALTH: orders that are not final"),
        "unknown_orders": _N("orders", "HEALTH: orders that are UNKNOWN"),
        "counters": _N("", "HEALTH: counters by name (dropped_mac, denied_EXPIRED ...)"),
        "backend": _N("", "HEALTH: which executor, and its own remark"),
        "terminal_ms": _N("ms", "PING: last round trip to the terminal"),
        "dead_man": _N("", "not in PING: the dead-man's switch (12.1)"),
    },
    "Page": {
        "deals": _N("", "deals, oldest first"),
        "symbols": _N("", "symbols with their grids"),
        "limits": _N("", "limits with what is used of them"),
        "time": _N("UTC ms", "when the terminal was asked"),
    },
    "Child": {
        "rid": _N("", "the child's request id (5.6)"),
        "op": _N("", "CLOSE or CANCEL"),
    },
    "OrderView": {
        "final": _N("", "whether nothing can change it any more"),
        "attested": _N("", "written by a connector, not by a server: false while the EA's word "
                           "is missing (14)"),
        "evidence": _N("", "how the outcome is known (7.3), strongest first: EA BROKER SERVER TAG "
                           "SHAPE ABSENT HUMAN"),
        "life": _N("", "what became of a WORKING order (7.2)"),
        "volume": _N("lots", "volume executed or placed, as the broker's records show it"),
        "price": _N("quote currency", "price of the execution or of the pending order"),
        "retcode": _N("", "the broker's own code of a rejection"),
        "requested_volume": _N("lots", "volume as signed"),
        "requested_price": _N("quote currency", "price as signed"),
        "parent": _N("", "rid of the FLATTEN this is a child of"),
        "accepted_at": _N("UTC ms", "when the server journaled it"),
        "dispatched_at": _N("UTC ms", "when its intent was durable"),
        "ended_at": _N("UTC ms", "when it became final"),
        "execution_time": _N("UTC ms", "market time of the execution"),
        "zone_ms": _N("ms", "the broker's clock minus UTC by which it was read, 0 also if unknown"),
        "server_ms": _N("ms", "how long the executor took"),
        "children": _N("", "FLATTEN: one entry for each ticket"),
        "existing": _N("", "DUPLICATE_ID: the order that has the client_order_id"),
    },
    "StatusReply": {"order": _N("", "the subject of the question")},
    "JournalPage": {"orders": _N("", "orders of the account, oldest first")},
    "LogRow": {
        "n": _N("", "index, from 1"),
        "record": _N("", "the record's bytes as text"),
        "hash": _N("", "the chain's hash after it, 64 hex digits"),
    },
    "LogPage": {
        "rows": _N("", "records from `first` on"),
        "prev": _N("", "the hash before the first of them"),
        "size": _N("records", "size of the whole record"),
        "head": _N("", "hash of its last record"),
    },
    "SyncReply": {
        "account": _N("", "the account's money"),
        "open_rids": _N("", "request ids of orders that are not final"),
        "time": _N("UTC ms", "when the terminal was asked"),
    },
    "EventBody": {
        "type": _N("", "which event this is"),
        "time": _N("UTC ms", "market time of the fact"),
        "side": _N("", "BUY or SELL, or a pending order's type"),
        "level": _N("", "alert: `info`, `warning`, `error` or `critical` (10.1)"),
        "message": _N("", "alert, state_changed: words"),
        "state": _N("", "heartbeat, state_changed: the trading state"),
        "server_time": _N("UTC ms", "the server's clock when it was signed"),
    },
}  # fmt: skip


def note_of(struct: str, field: str) -> Note:
    """Return what a field says.

    Raises:
        KeyError: nobody has explained it yet: add a line to this file.
    """
    special = SPECIAL.get(struct, {})
    return special[field] if field in special else COMMON[field]

"""The executor's own word about one request, and whether it may be believed (protocol.md 14).

A record is signed for the connector with a key that the server does not hold: the server cannot
verify its MAC, only that it speaks of the right request and says something that can be. What it
passes on wrongly, the connector finds out.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import REPLY_DECIMAL_PATTERN
from bridge_core.protocol.signing import NO_ORDER_HASH
from bridge_core.protocol.token import EaRecord, parse_ea_record
from bridge_server.core.ports import Executed, Facts, Lost, NotBegun, Outcome, Rejected

__all__ = ["NOT_SEEN", "Lie", "NotSeen", "Verdict", "Wanted", "Word", "judge_word"]

NOT_SEEN: Final = "NOT_SEEN"
Number = Annotated[str, Meta(pattern=REPLY_DECIMAL_PATTERN)]
Ticket = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Word(Struct, frozen=True, kw_only=True):
    """What an EA answers about a request (protocol.md 14.2). Decimals are text.

    `record` is the signed part, `mac` its MAC; the other fields are the EA's, unsigned.
    """

    rid: str
    status: str
    record: str = ""
    mac: str = "-"
    code: str = "-"
    limit: str = ""
    value: str = ""
    symbol: str = ""
    type: str = ""
    ticket: Ticket = 0
    deal: Ticket = 0
    order: Ticket = 0
    volume: Number = "0"
    price: Number = "0"
    close_price: Number = "0"
    sl: Number = "0"
    tp: Number = "0"
    profit: Number = "0"
    swap: Number = "0"
    commission: Number = "0"
    remaining_volume: Number = "0"
    remaining_ticket: Ticket = 0
    retcode: int = 0
    market_ms: int = 0
    comment: str = ""


class Wanted(Struct, frozen=True, kw_only=True):
    """The request that a word has to be about.

    `order_hash` is that of the frames handed over (a FLATTEN's for its children); "" when this
    server never held them (a fenced rid), then any fits, and so does any operation.
    """

    acct: str
    rid: str
    kid: str
    op: str
    order_hash: str


class NotSeen(Struct, frozen=True):
    """The executor never saw the request."""


class Lie(Struct, frozen=True):
    """A word that cannot be about the request, or contradicts itself; it proves nothing."""

    why: str


Verdict = Outcome | NotSeen | Lie

_MAC: Final = re.compile(r"\A[0-9a-f]{64}\Z")
_CODES: Final = frozenset(code.value for code in ReasonCode)
_NEGATIVE: Final = frozenset({Status.REJECTED, Status.DENIED})
_FITTING: Final[dict[str, frozenset[Status]]] = {
    Op.OPEN: frozenset({Status.FILLED, Status.PARTIAL, Status.WORKING}),
    Op.CLOSE: frozenset({Status.FILLED, Status.PARTIAL}),
    Op.MODIFY: frozenset({Status.DONE}),
    Op.CANCEL: frozenset({Status.DONE}),
    Op.FLATTEN: frozenset({Status.DONE, Status.PARTIAL}),
    Op.RESUME: frozenset({Status.DONE}),
}


def judge_word(word: Word, wanted: Wanted) -> Verdict:
    """Return what a word says of the request, taking the facts from its record."""
    if word.rid != wanted.rid:
        return Lie("rid")
    if word.status == NOT_SEEN:
        return NotSeen()
    if word.status == Status.UNKNOWN:
        return Lost(cause=f"the EA does not know yet: {word.code}"[:200])
    record = parse_ea_record(word.record.encode("ascii", "replace"))
    if record is None:
        return Lie("no record")
    why = _misfit(record, word, wanted)
    return Lie(why) if why else _outcome(record, word)


def _misfit(record: EaRecord, word: Word, wanted: Wanted) -> str:
    told = (record.acct, record.rid, record.status, record.code)
    expected = (wanted.acct, wanted.rid, word.status, word.code)
    for name, is_, should in zip(("acct", "rid", "status", "code"), told, expected, strict=True):
        if is_ != should:
            return name
    if _MAC.match(word.mac) is None:
        return "mac"
    if record.order_hash == NO_ORDER_HASH:
        # The form for a rid that the EA never saw can only ever say that nothing happened. Its
        # kid is whose key asked for it: not always the order's.
        return "" if record.status == Status.DENIED else "order_hash"
    if wanted.order_hash:  # the hash covers kid and op too; a record may still say others
        for name in ("order_hash", "op", "kid"):
            if getattr(record, name) != getattr(wanted, name):
                return name
    if record.status not in _FITTING.get(record.op, frozenset()) | _NEGATIVE:
        return "status"
    return "" if record.code in _CODES else "code"


def _outcome(record: EaRecord, word: Word) -> Outcome:
    raw, code = word.record.encode("ascii"), ReasonCode(record.code)
    if record.status == Status.DENIED:
        refusal = Refusal(code, limit=word.limit, value=word.value)
        return NotBegun(refusal=refusal, record=raw, record_mac=word.mac)
    facts = _facts(record, word)
    if record.status == Status.REJECTED:
        return Rejected(code=code, facts=facts, record=raw, record_mac=word.mac)
    return Executed(
        status=Status(record.status), facts=facts, code=code, record=raw, record_mac=word.mac
    )


def _facts(record: EaRecord, word: Word) -> Facts:
    price, closing = Decimal(record.price), record.op == Op.CLOSE
    return Facts(
        symbol=word.symbol,
        type=word.type,
        ticket=record.ticket,
        deal=word.deal,
        order=word.order,
        volume=Decimal(record.volume),
        price=price,
        close_price=price if closing else Decimal(word.close_price),
        sl=Decimal(record.sl),
        tp=Decimal(record.tp),
        profit=Decimal(word.profit),
        swap=Decimal(word.swap),
        commission=Decimal(word.commission),
        remaining_volume=Decimal(word.remaining_volume),
        remaining_ticket=word.remaining_ticket,
        retcode=word.retcode,
        market_ms=max(0, word.market_ms),
        comment=word.comment,
    )

"""What MetaTrader 5 answers to a trade request, as one of four things. Pure.

An allow-list: what stands in no table here means that nobody knows, and is never read as "no".
Codes and their meanings: MetaTrader 5 documentation, Trade Server Return Codes; those of
`last_error`: measured in wheel 5.0.6231.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_server.backends.mt5_link import Answer, Sent
from bridge_server.core.ports import Facts, Lost, NotBegun, Rejected

__all__ = [
    "ACCEPTED", "NO_CHANGES", "POSITION_CLOSED", "REFUSED", "UNDECIDED", "Accepted", "Kind",
    "judge_check", "judge_sent", "kind_of_retcode",
]  # fmt: skip

_C = ReasonCode

PLACED: Final = 10008
DONE: Final = 10009
DONE_PARTIAL: Final = 10010
NO_CHANGES: Final = 10025
POSITION_CLOSED: Final = 10036
_BAD_RETCODE: Final = -1  # an answer that holds no code

# A yes, which is still no fill: the broker's records are read before anybody is told.
ACCEPTED: Final = frozenset({PLACED, DONE, DONE_PARTIAL, NO_CHANGES})

# A definite no: the broker's server or the terminal did not execute it and will not.
REFUSED: Final[Mapping[int, ReasonCode]] = {
    10004: _C.REQUOTE,
    10006: _C.BROKER_REJECTED,  # by the server or a dealer
    10007: _C.BROKER_REJECTED,  # cancelled by a dealer
    10013: _C.BROKER_REJECTED,  # malformed
    10014: _C.INVALID_VOLUME,
    10015: _C.INVALID_PRICE,
    10016: _C.INVALID_STOPS,
    10017: _C.TRADE_DISABLED,
    10018: _C.MARKET_CLOSED,
    10019: _C.NO_MONEY,
    10020: _C.REQUOTE,  # prices changed
    10021: _C.PRICE_OFF,
    10022: _C.BROKER_REJECTED,  # expiration
    10024: _C.BROKER_REJECTED,  # too many requests: the strategy decides whether to ask again
    10026: _C.TRADE_DISABLED,  # programs, by the server
    10027: _C.TRADE_DISABLED,  # programs, by the Algo Trading button
    10029: _C.BROKER_REJECTED,  # within the freeze level
    10030: _C.BROKER_REJECTED,  # filling
    10032: _C.BROKER_REJECTED,  # real accounts only
    10033: _C.TOO_MANY_ORDERS,
    10034: _C.INVALID_VOLUME,  # the symbol's volume limit
    10035: _C.BROKER_REJECTED,  # order type
    POSITION_CLOSED: _C.INVALID_TICKET,
    10038: _C.INVALID_VOLUME,  # more than the position has
    10040: _C.TOO_MANY_ORDERS,  # positions
    10041: _C.BROKER_REJECTED,  # its activation was refused
    10042: _C.TRADE_DISABLED,  # long only
    10043: _C.TRADE_DISABLED,  # short only
    10044: _C.TRADE_DISABLED,  # close only
    10045: _C.BROKER_REJECTED,  # oldest first
    10046: _C.BROKER_REJECTED,  # hedging prohibited
}

# Listed by the documentation, and no decision: the state has to be read again, or nobody knows.
UNDECIDED: Final = frozenset({10011, 10012, 10023, 10028, 10031, 10039})

# `last_error` after None: these say that the request never left this machine.
_BROKER_DOWN: Final = frozenset({-10004})
_API_OFF: Final = -8
_UNABLE: Final = frozenset({-5, -7})  # incompatible versions, unsupported function
_BAD_ARGUMENT: Final = -2
# Only the package's own words: the terminal has a -2 of its own, after the request was sent.
_CLIENT_TEXT: Final = re.compile(
    r'\A(Invalid "[a-z_]+" argument|Invalid arguments|Unnamed arguments not allowed|'
    r"Invalid number of arguments)( \(SystemError.*)?\Z",
    re.DOTALL,
)


class Kind(StrEnum):
    """What a retcode means."""

    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


class Accepted(Struct, frozen=True, kw_only=True):
    """The broker took it; `order` and `deal` are 0 where the answer does not know them yet."""

    retcode: int
    order: int = 0
    deal: int = 0
    comment: str = ""


def kind_of_retcode(retcode: int) -> Kind:
    """Return the class of a trade server code; what nobody listed is UNKNOWN."""
    if retcode in ACCEPTED:
        return Kind.ACCEPTED
    return Kind.REFUSED if retcode in REFUSED else Kind.UNKNOWN


def judge_sent(sent: Sent) -> Accepted | Rejected | NotBegun | Lost:
    """Return what one `order_send` came to."""
    if not sent.begun:
        return NotBegun(refusal=sent.refusal or Refusal(_C.BROKER_DOWN, value=sent.why))
    if sent.answer is None:
        return Lost(cause=sent.why or "no answer to order_send")
    if not sent.answer.ok:
        return _judge_error(sent.answer)
    return _judge_result(_record(sent.answer))


def _record(answer: Answer) -> Mapping[str, object]:
    return answer.value if isinstance(answer.value, dict) else {}


def _whole(record: Mapping[str, object], name: str) -> int:
    value = record.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _retcode_of(record: Mapping[str, object]) -> int:
    value = record.get("retcode")
    return value if type(value) is int else _BAD_RETCODE


def _judge_error(answer: Answer) -> NotBegun | Lost:
    word = f"last_error {answer.code}: {answer.text}"
    if answer.code in _BROKER_DOWN:
        return NotBegun(refusal=Refusal(_C.BROKER_DOWN, limit=str(answer.code), value=answer.text))
    if answer.code == _API_OFF:
        return NotBegun(
            refusal=Refusal(_C.TRADE_DISABLED, limit=str(answer.code), value=answer.text)
        )
    mistaken = answer.code == _BAD_ARGUMENT and _CLIENT_TEXT.match(answer.text)
    if mistaken or answer.code in _UNABLE:
        return NotBegun(
            refusal=Refusal(_C.BROKER_REJECTED, limit=str(answer.code), value=answer.text)
        )
    return Lost(cause=word)


def _judge_result(record: Mapping[str, object]) -> Accepted | Rejected | Lost:
    retcode = _retcode_of(record)
    comment = str(record.get("comment") or "")
    match kind_of_retcode(retcode):
        case Kind.ACCEPTED:
            return Accepted(
                retcode=retcode,
                order=_whole(record, "order"),
                deal=_whole(record, "deal"),
                comment=comment,
            )
        case Kind.REFUSED:
            facts = Facts(retcode=retcode, comment=comment)
            return Rejected(code=REFUSED[retcode], facts=facts)
        case Kind.UNKNOWN:
            return Lost(cause=f"retcode {retcode}: {comment}".rstrip(": "))


def judge_check(answer: Answer) -> Rejected | NotBegun | None:
    """Return why `order_check` says no, None if it says yes. Nothing was sent either way."""
    if not answer.ok:
        down = Refusal(_C.BROKER_DOWN, limit=str(answer.code), value=answer.text)
        judged = _judge_error(answer)
        return judged if isinstance(judged, NotBegun) else NotBegun(refusal=down)
    record = _record(answer)
    retcode = _retcode_of(record)
    if retcode == 0:
        return None
    comment = str(record.get("comment") or "")
    if retcode in REFUSED:
        facts = Facts(retcode=retcode, comment=comment)
        return Rejected(code=REFUSED[retcode], facts=facts)
    return NotBegun(refusal=Refusal(_C.BROKER_DOWN, limit=str(retcode), value=comment))

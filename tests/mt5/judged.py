"""The stand-in broker's ledger as the judges of the paper ledger read it (protocol.md 13).

Each trade request is given back to the one signed request it can have come from: by its magic,
then by its comment (MetaTrader keeps both, and every request of this project carries both). What
equals the signed value takes the signed text, since MetaTrader knows numbers as doubles only; what
does not equal it stays as the broker got it, and breaks S3. What belongs to nobody breaks S5, a
second request of one signed order breaks S1.

The end of a request is what the broker's books say in the end, not what it answered: the deals of
its order, whenever they came, and whether a change was carried out. A request that was received
and never executed ends as LOST.

An order_check that says no is a submission that was rejected: it asked the broker, and after it
nothing may be sent. One that says yes leaves no trace here.

One request is no submission of its own: the close of a position that lacks the stops that were
signed with it, if the same signature says `stops_fail` CLOSE (protocol.md 14.5).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from bridge_core.host.ledger import LedgerLine, SignedOrder, Verdict, judge
from bridge_core.protocol.messages import Close, Flatten, Modify, Open
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import text_of
from bridge_core.protocol.tag import COMMENT_TAG_CHARS, Tag, child_rid, make_tag
from tests.support.fake_metatrader5.asks import exact
from tests.support.fake_metatrader5.codes import Action, Kind, State

__all__ = ["judge_mt5", "paper_lines"]

Line = dict[str, Any]
Fields = dict[str, str | int]
ZERO: Final = Decimal(0)
_HASH_MASK: Final = 2**40 - 1
_WIRE_STEP: Final = Decimal("0.00000001")
_JUDGED: Final = ("OPEN", "CLOSE", "MODIFY", "CANCEL", "FLATTEN")
_OPS: Final = {
    Action.PENDING: "OPEN", Action.SLTP: "MODIFY", Action.MODIFY: "MODIFY",
    Action.REMOVE: "CANCEL", Action.CLOSE_BY: "CLOSE_BY",
}  # fmt: skip


def judge_mt5(
    lines: Sequence[Line],
    signed: Mapping[str, SignedOrder],
    acct: str,
    comment_chars: int = 0,
) -> Verdict:
    """Judge S1, S2, S3 and S5 on the lines of `Broker.lines()`.

    Args:
        lines: the broker's ledger, from its start.
        signed: rid -> the request as its signer signed it.
        acct: the account's alias.
        comment_chars: to how many characters a comment has to be kept exactly; 0: to any number.
    """
    return judge(paper_lines(lines, signed, acct, comment_chars), signed, acct)


def paper_lines(
    lines: Sequence[Line],
    signed: Mapping[str, SignedOrder],
    acct: str,
    comment_chars: int = 0,
) -> list[LedgerLine]:
    """Return a start, a begin and an end line for each request, for `judge` and the oracles."""
    reader = _Reader(lines, signed, acct)
    start = lines[0]
    chars: Fields = {"comment_chars": comment_chars, "source": str(start.get("source", ""))}
    found = [_ledger_line("start", start, result=chars)]
    for line in lines:
        if line["at"] in ("begin", "check"):
            found += reader.read(line)
    return found


class _Owner(NamedTuple):
    """Who signed a request: its rid, its tag, the order; `child`: as part of a FLATTEN."""

    rid: str
    tag: Tag
    order: SignedOrder
    child: bool = False


class _Reader:
    def __init__(self, lines: Sequence[Line], signed: Mapping[str, SignedOrder], acct: str) -> None:
        self._acct = acct
        self._hedging = lines[0]["margin_mode"] == "hedging"
        self._ends = {line["n"]: line for line in lines if line["at"] == "end"}
        self._ended = {
            line["row"]["ticket"]: line["row"] for line in lines if line["at"] == "order"
        }
        self._deals: dict[int, list[Line]] = {}
        for line in lines:
            if line["at"] == "deal":
                self._deals.setdefault(line["row"]["order"], []).append(line["row"])
        self._owners = [_Owner(rid, make_tag(acct, rid), order) for rid, order in signed.items()]

    def read(self, begin: Line) -> Iterable[LedgerLine]:
        """Return the begin and the end line of one request, or nothing if it was protective."""
        request = begin["request"]
        owner = self._owner(request)
        if begin["at"] == "check" and (owner is None or owner.order.op.value not in _JUDGED):
            return
        if owner is not None and self._is_protective(begin, owner):
            return
        op = _op_of(request)
        fields = _as_signed(begin, op, owner)
        shown = _shown(request, owner)
        yield _ledger_line("begin", begin, op=op, shown=shown, fields=fields)
        end = self._ends.get(begin["n"], begin)
        yield _ledger_line("end", {**end, "n": begin["n"]}, op=op, shown=shown,
                           result=self._outcome(begin, op))  # fmt: skip

    def _owner(self, request: Line) -> _Owner | None:
        candidates = list(self._owners)
        ticket = int(request["position"] or request["order"])
        for one in self._owners:
            if one.order.op is Op.FLATTEN and ticket:
                child = child_rid(one.rid, ticket)
                tag = make_tag(self._acct, child)
                candidates.append(_Owner(child, tag, one.order, child=True))
        signers = [one for one in candidates if one.child or one.order.op is not Op.FLATTEN]
        by_magic = (
            one for one in signers if int(request["magic"]) & _HASH_MASK == one.tag.mt5_hash
        )
        shown = str(request["comment"])[:COMMENT_TAG_CHARS]
        by_comment = (one for one in signers if shown == one.tag.comment)
        return next(by_magic, None) or next(by_comment, None)

    @staticmethod
    def _is_protective(begin: Line, owner: _Owner) -> bool:
        body, request, book = owner.order.body, begin["request"], begin["book"]
        if not isinstance(body, Open) or body.stops_fail != "CLOSE":
            return False
        if request["action"] != Action.DEAL or not request["position"] or not book:
            return False
        ours = book["symbol"] == body.symbol and book["magic"] == request["magic"]
        bare = not (_equal(book["sl"], body.sl) and _equal(book["tp"], body.tp))
        return ours and bare

    def _outcome(self, begin: Line, op: str) -> Fields:
        end = begin if begin["at"] == "check" else self._ends.get(begin["n"])
        if end is None:
            return {"outcome": "LOST"}
        if not end.get("executed"):
            return {"outcome": "REJECTED", "retcode": int(end["retcode"])}
        order = int(end.get("order", 0))
        deals = self._deals.get(order, [])
        if op not in ("OPEN", "CLOSE") or (begin["request"]["action"] == Action.PENDING):
            return {"outcome": "EXECUTED"} | self._placed(begin, order, deals)
        if not deals:
            refused = order in self._ended and self._ended[order]["state"] != State.FILLED
            return {"outcome": "REJECTED" if refused else "LOST", "order": order}
        return {"outcome": "EXECUTED"} | self._done(order, deals)

    def _placed(self, begin: Line, order: int, deals: list[Line]) -> Fields:
        if begin["request"]["action"] != Action.PENDING:
            return {}
        if deals:
            return self._done(order, deals)
        return {"ticket": order, "order": order}

    def _done(self, order: int, deals: list[Line]) -> Fields:
        volume = sum((exact(deal["volume"]) for deal in deals), ZERO)
        value = sum((exact(deal["volume"]) * exact(deal["price"]) for deal in deals), ZERO)
        price = (value / volume).quantize(_WIRE_STEP)
        done: Fields = {"order": order, "volume": text_of(volume), "price": text_of(price)}
        if self._hedging:  # on a netting account a position's ticket is not the order's
            done["ticket"] = int(deals[0]["position_id"])
        return done


def _op_of(request: Line) -> str:
    if request["action"] == Action.DEAL:
        return "CLOSE" if request["position"] else "OPEN"
    return _OPS.get(request["action"], f"ACTION {request['action']}")


def _shown(request: Line, owner: _Owner | None) -> tuple[int, str]:
    magic, comment = int(request["magic"]), str(request["comment"])
    if owner is not None and not comment.startswith(owner.tag.comment):
        # Known by its magic alone: the judge finds it by the tag, and sees that it was not there.
        comment = f"{owner.tag.comment}?{comment}"
    return magic, comment


def _fields_of(begin: Line, op: str) -> Fields:
    request, book = begin["request"], begin["book"]
    ticket = int(request["position"] or request["order"])
    match op:
        case "OPEN":
            return {
                "symbol": request["symbol"], "type": _kind_name(request["type"]),
                **_texts(request, "volume", "price", "sl", "tp"),
                "deviation": int(request["deviation"]), "expiration": _expiration(begin),
            }  # fmt: skip
        case "CLOSE":
            return {
                "ticket": ticket, "symbol": request["symbol"], **_texts(request, "volume"),
                "deviation": int(request["deviation"]),
            }  # fmt: skip
        case "MODIFY":
            old = {"old_sl": _text(book.get("sl", 0.0)), "old_tp": _text(book.get("tp", 0.0))}
            return {
                "ticket": ticket, **_texts(request, "price", "sl", "tp"), **old,
                "expiration": _expiration(begin),
            }  # fmt: skip
        case _:
            return {"ticket": ticket}


def _kind_name(kind: int) -> str:
    return Kind(kind).name if kind in tuple(Kind) else f"TYPE {kind}"


def _expiration(begin: Line) -> int:
    """The broker's seconds as UTC ms; 0 is none."""
    given = int(begin["request"]["expiration"])
    return given * 1000 - int(begin["zone_ms"]) if given else 0


def _as_signed(begin: Line, op: str, owner: _Owner | None) -> Fields:
    """Put the signed text wherever the value is the signed one."""
    given = _fields_of(begin, op)
    if owner is None or (op != owner.order.op.value and not owner.child):
        return given
    fields, body, book = given, owner.order.body, begin["book"]
    whole = "volume" in fields and bool(book) and _equal(book["volume"], str(fields["volume"]))
    if owner.child:
        if isinstance(body, Flatten) and whole:
            fields["volume"] = "0"
        return fields
    for name in ("volume", "price", "sl", "tp", "old_sl", "old_tp"):
        wanted = getattr(body, name, None)
        if wanted is not None and name in fields and _equal(fields[name], wanted):
            fields[name] = wanted
    if isinstance(body, Close) and whole and Decimal(body.volume) == 0:
        fields["volume"] = body.volume
    elif isinstance(body, Open):
        _open_as_signed(begin, fields, body)
    elif isinstance(body, Modify):
        _modify_as_signed(begin, fields, body)
    return fields


def _open_as_signed(begin: Line, fields: Fields, body: Open) -> None:
    if begin["request"]["action"] == Action.DEAL:
        # The signed price is a reference: what was asked may lie a deviation beside it.
        away = abs(float(begin["request"]["price"]) - float(body.price))
        near = away <= float(body.deviation * Decimal(begin["point"])) * (1 + 1e-9)
        if Decimal(body.price) == 0 or near:
            fields["price"] = body.price
    if 0 <= body.expiration - int(fields["expiration"]) < 1000:
        fields["expiration"] = body.expiration  # MetaTrader knows whole seconds


def _modify_as_signed(begin: Line, fields: Fields, body: Modify) -> None:
    book = begin["book"]
    if Decimal(body.price) == 0 and "price_stoplimit" in book:
        # A pending order that keeps its price and expiration is sent both as they are.
        if _equal(book["price_open"], str(fields["price"])):
            fields["price"] = body.price
        if begin["request"]["expiration"] == book["time_expiration"]:
            fields["expiration"] = body.expiration
    elif 0 <= body.expiration - int(fields["expiration"]) < 1000:
        fields["expiration"] = body.expiration


def _texts(request: Line, *names: str) -> dict[str, str]:
    return {name: _text(request[name]) for name in names}


def _text(value: float) -> str:
    return text_of(exact(value)) if math.isfinite(value) else str(value)


def _equal(given: object, wanted: str) -> bool:
    value = float(str(given))
    return math.isfinite(value) and exact(value) == Decimal(wanted)


def _ledger_line(
    phase: str,
    line: Line,
    *,
    op: str = "",
    shown: tuple[int, str] = (0, ""),
    fields: Fields | None = None,
    result: Fields | None = None,
) -> LedgerLine:
    return LedgerLine(
        phase=phase,
        n=int(line.get("n", 0)),
        wall_ms=line["wall_ms"],
        market_ms=line["wall_ms"],
        op=op,
        magic=shown[0],
        comment=shown[1],
        fields=fields or {},
        result=result or {},
    )

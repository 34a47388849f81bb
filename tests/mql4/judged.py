"""The simulated broker's ledger as the judges of the paper ledger read it (protocol.md 13).

MetaTrader 4 takes no request id with a close, a change or a deletion, and knows numbers only as
doubles. So each submission is given back to the one signed request it can have come from: an entry
by its magic and comment, anything else by its ticket, its window and its fields. What equals the
signed value takes the signed text; what does not stays as the broker got it, and breaks S3. What
belongs to nobody stays untagged, and breaks S5; a second submission of one request breaks S1.

The broker's own clock is read by its zone (`BrokerTerms.zone_hours`): an expiration at the broker
has to be the signed UTC instant, to the millisecond.

The protective step of a market-execution entry (protocol.md 14.5; S2 excepts it) is no submission
of its own: a change to exactly the signed stops of the entry that opened the ticket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from bridge_core.host.ledger import LedgerLine, SignedOrder
from bridge_core.protocol import limits
from bridge_core.protocol.messages import Cancel, Close, Flatten, Modify, Open
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import Tag, child_rid, make_tag
from tests.mql4.broker_file import Line
from tests.mql4.terms import BrokerTerms, SymbolTerms

__all__ = ["paper_lines"]

Fields = dict[str, str | int]
_MARKET: Final = ("BUY", "SELL")
_DID: Final = ("FILLED", "PARTIAL", "WORKING", "DONE")


class _Owner(NamedTuple):
    rid: str
    order: SignedOrder
    child: bool = False


def paper_lines(
    lines: Sequence[Line],
    signed: Mapping[str, SignedOrder],
    acct: str,
    terms: BrokerTerms | None = None,
    claims: Mapping[str, str] | None = None,
) -> list[LedgerLine]:
    """Return the start, begin and end lines of a broker.jsonl as `judge` and the oracles want them.

    Args:
        lines: of the terminal's `ledger()`.
        signed: rid -> the request as its signer signed it.
        acct: the account's alias.
        terms: the broker's terms, which say a point's size and where execution is at market.
        claims: rid -> the status that was told of it. Where several requests ask for the same, a
            submission goes to one that claims it: a false claim then lacks its submission.
    """
    terms = terms if terms is not None else BrokerTerms()
    lines = [_in_utc(line, terms.zone_ms) for line in lines]
    reader = _Reader(signed, acct, terms)
    reader.claims = claims or {}
    reader.outcomes = {
        line["n"]: line["result"]["outcome"] for line in lines if line["phase"] == "end"
    }
    return [each for line in lines for each in reader.take(line)]


def _in_utc(line: Line, zone_ms: int) -> Line:
    """A line with the broker's times (`market_ms`, expirations) as UTC; 0 is none."""
    line = dict(line)
    if "market_ms" in line:
        line["market_ms"] -= zone_ms
    if line.get("fields", {}).get("expiration"):
        expiration = line["fields"]["expiration"] - zone_ms
        line["fields"] = {**line["fields"], "expiration": expiration}
    if "orders" in line:
        line["orders"] = [
            {**row, "expiration_s": row["expiration_s"] and row["expiration_s"] - zone_ms // 1000}
            for row in line["orders"]
        ]
    return line


class _Reader:
    def __init__(self, signed: Mapping[str, SignedOrder], acct: str, terms: BrokerTerms) -> None:
        self._signed = signed
        self._acct = acct
        self._symbols = {each.name: each for each in terms.symbols}
        self._book: dict[int, Line] = {}
        self._opened_by: dict[int, SignedOrder] = {}
        self._used: set[str] = set()
        self._open: dict[int, tuple[Line, _Owner | None]] = {}
        self._late: set[int] = set()
        self.claims: Mapping[str, str] = {}
        self.outcomes: Mapping[int, str] = {}

    def take(self, line: Line) -> Iterable[LedgerLine]:
        match line["phase"]:
            case "start":
                yield from self._never_reached_the_broker(line)
                yield _line(line, "", 0, {}, line["result"])
            case "begin":
                owner = self._owner(line)
                if owner is None and self._is_protective(line):
                    return
                self._open[line["n"]] = (line, owner)
                fields = self._as_signed(line, owner) if owner else {}
                yield self._tagged(line, owner, fields or dict(line["fields"]), {})
                if owner is not None:
                    self._used.add(owner.rid)
            case "late":
                self._late.add(line["n"])
            case "end":
                begun = self._open.pop(line["n"], None)
                if begun is not None:
                    yield self._ended(line, *begun)
            case "state":
                self._book.update((row["ticket"], row) for row in line["orders"])

    def _ended(self, line: Line, begin: Line, owner: _Owner | None) -> LedgerLine:
        result = line["result"]
        if owner is not None and begin["op"] == "OPEN" and "ticket" in result:
            self._opened_by[result["ticket"]] = owner.order
        return self._tagged(begin, owner, {}, result, line)

    def _never_reached_the_broker(self, line: Line) -> Iterable[LedgerLine]:
        # The broker outlived the terminal: what it did not end it never began.
        for number, (begin, owner) in list(self._open.items()):
            if number not in self._late:
                del self._open[number]
                yield self._tagged(begin, owner, {}, {"outcome": "LOST"}, line)

    def _tagged(
        self,
        begin: Line,
        owner: _Owner | None,
        fields: Fields,
        result: Mapping[str, str | int],
        end: Line | None = None,
    ) -> LedgerLine:
        comment, magic = begin["comment"], begin["magic"]
        at = begin if end is None else {**end, "op": begin["op"], "n": begin["n"], "phase": "end"}
        if owner is not None:
            tag = make_tag(self._acct, owner.rid)
            strategy = owner.order.body.strategy if isinstance(owner.order.body, Open) else 0
            by_magic = begin["op"] != "OPEN" or magic == tag.mt4_magic
            magic = tag.mt5_magic(strategy) if by_magic else magic
            comment = comment if begin["op"] == "OPEN" else tag.comment
        else:
            comment, magic = ("", 0) if begin["op"] != "OPEN" else (comment, magic)
        return _line(at, comment, magic, fields, result)

    def _owner(self, line: Line) -> _Owner | None:
        if line["op"] == "OPEN":
            return next((each for each in self._entries() if _shows(line, self._tag(each))), None)
        ticket = line["fields"]["ticket"]
        found = list(self._asked_for(line["op"], ticket))
        fresh = [each for each in found if each.rid not in self._used]
        best = max(fresh, key=lambda each: self._fit(line, each), default=None)
        if best is not None and not self._is_exact(line, best) and self._is_protective(line):
            return None
        return best or (None if self._is_protective(line) else next(iter(found), None))

    def _entries(self) -> Iterable[_Owner]:
        return (_Owner(rid, order) for rid, order in self._signed.items() if order.op is Op.OPEN)

    def _tag(self, owner: _Owner) -> Tag:
        return make_tag(self._acct, owner.rid)

    def _asked_for(self, op: str, ticket: int) -> Iterable[_Owner]:
        for rid, order in self._signed.items():
            body = order.body
            if isinstance(body, Close | Modify | Cancel):
                if order.op.value == op and body.ticket == ticket:
                    yield _Owner(rid, order)
            elif isinstance(body, Flatten) and op in ("CLOSE", "CANCEL"):
                yield _Owner(child_rid(rid, ticket), order, child=True)

    def _is_exact(self, line: Line, owner: _Owner) -> bool:
        fields = self._as_signed(line, owner)
        if owner.child:
            return fields.get("volume", "0") == "0"
        return all(fields.get(name) == getattr(owner.order.body, name) for name in fields)

    def _claims(self, line: Line, owner: _Owner) -> bool:
        claim = self.claims.get(owner.rid, "")
        if self.outcomes.get(line["n"]) == "EXECUTED":
            return claim in _DID
        return claim == "REJECTED"

    def _fit(self, line: Line, owner: _Owner) -> tuple[bool, bool, bool, bool, int]:
        order = owner.order
        window = limits.FLATTEN_WINDOW_MS if owner.child else 0
        begins = order.iat - limits.CLOCK_SKEW_MS_MAX
        in_time = begins <= line["wall_ms"] < order.iat + order.ttl + window
        # One that claims it first; then what names the ticket before what merely covers it.
        exact = self._is_exact(line, owner)
        return exact, in_time, self._claims(line, owner), not owner.child, -order.iat

    def _is_protective(self, line: Line) -> bool:
        entry = self._opened_by.get(line["fields"].get("ticket", 0))
        if entry is None or not isinstance(entry.body, Open):
            return False
        body, fields = entry.body, line["fields"]
        if not self._symbols[body.symbol].ecn:
            return False
        if line["op"] == "CLOSE":
            return body.stops_fail == "CLOSE"
        stops = _equal(fields["sl"], body.sl) and _equal(fields["tp"], body.tp)
        return line["op"] == "MODIFY" and stops

    def _as_signed(self, line: Line, owner: _Owner) -> Fields:
        """The fields of a begin line with the signed text wherever the value is the signed one."""
        given: Fields = dict(line["fields"])
        row = self._book.get(int(given.get("ticket", 0)), {})
        body = owner.order.body
        if line["op"] in ("CLOSE", "CANCEL"):
            given.pop("price", None)
            if _is_all(given, row) and (owner.child or getattr(body, "volume", "") == "0"):
                given["volume"] = "0"
        if owner.child:
            return given
        for name in ("volume", "sl", "tp", "old_sl", "old_tp", "price"):
            wanted = getattr(body, name, None)
            if name in given and wanted is not None and _equal(given[name], wanted):
                given[name] = wanted
        if isinstance(body, Open):
            _open_as_signed(given, body, self._symbols[body.symbol])
        elif isinstance(body, Modify):
            _modify_as_signed(given, body, row)
        return given


def _shows(line: Line, tag: Tag) -> bool:
    return bool(line["magic"] == tag.mt4_magic or line["comment"].startswith(tag.comment))


def _equal(given: object, wanted: str) -> bool:
    return Decimal(str(given)) == Decimal(wanted)


def _is_all(given: Fields, row: Line) -> bool:
    return "volume" in given and bool(row) and _equal(given["volume"], str(row["lots"]))


def _open_as_signed(given: Fields, body: Open, symbol: SymbolTerms) -> None:
    if body.type in _MARKET:
        # The signed price is a reference: what was asked may lie a deviation beside it.
        point = Decimal(10) ** -symbol.digits
        away = abs(Decimal(str(given["price"])) - Decimal(body.price))
        if Decimal(body.price) == 0 or away <= body.deviation * point:
            given["price"] = body.price
        if symbol.ecn:
            given |= {name: getattr(body, name) for name in ("sl", "tp") if given[name] == "0"}


def _modify_as_signed(given: Fields, body: Modify, row: Line) -> None:
    if Decimal(body.price) == 0:
        if row and _equal(given["price"], str(row["open_price"])):
            given["price"] = body.price
        if row and given["expiration"] == row["expiration_s"] * 1000:
            given["expiration"] = body.expiration


def _line(
    at: Line, comment: str, magic: int, fields: Fields, result: Mapping[str, str | int]
) -> LedgerLine:
    return LedgerLine(
        phase=at["phase"],
        n=at["n"],
        wall_ms=at["wall_ms"],
        market_ms=at["market_ms"],
        op=at["op"],
        magic=magic,
        comment=comment,
        fields=fields,
        result=dict(result),
    )

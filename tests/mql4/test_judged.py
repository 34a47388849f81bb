"""The terminal's ledger can be judged: each promise that was broken on purpose is found broken."""

from __future__ import annotations

from typing import Any, Final

import pytest

from bridge_core.host.ledger import SignedOrder, judge
from bridge_core.protocol.messages import Cancel, Close, Flatten, Modify, Open
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import make_tag
from tests.mql4.judged import paper_lines
from tests.mql4.terms import BrokerTerms, SymbolTerms

ACCT: Final = "acct"
T0: Final = 1_800_000_000_000
RIDS: Final = tuple(f"{n:032x}" for n in range(1, 8))
WHO: Final[dict[str, Any]] = {"client_order_id": "a", "client": "atlas"}
ECN: Final = BrokerTerms(symbols=(SymbolTerms(name="EURUSD", ecn=True),))

Line = dict[str, Any]


def _open(**more: Any) -> Open:
    fields: Line = {
        "symbol": "EURUSD", "type": "BUY", "volume": "0.10", "price": "1.08510", "sl": "1.0800",
        "tp": "0", "deviation": 20, "expiration": 0, "stops_fail": "KEEP", "strategy": 3,
        "comment": "note",
    }  # fmt: skip
    return Open(**WHO, **(fields | more))


def _signed(op: Op, body: Any, at: int = T0) -> SignedOrder:
    return SignedOrder(op, at, 5_000, body)


class _Book:
    """Writes the lines a terminal would."""

    def __init__(self) -> None:
        self.lines: list[Line] = [self._line("start", 0, "", {}, {"comment_chars": 31})]
        self._n = 0

    def _line(self, phase: str, n: int, op: str, fields: Line, result: Line) -> Line:
        return {
            "v": 1, "phase": phase, "n": n, "wall_ms": T0, "market_ms": T0, "op": op, "magic": 0,
            "comment": "", "deadline_wall_ms": 0, "fields": fields, "result": result,
        }  # fmt: skip

    def add(self, op: str, fields: Line, at: int = T0, **shown: Any) -> None:
        self._n += 1
        ticket = fields.get("ticket", 1000 + self._n)
        result = {"outcome": "EXECUTED", "retcode": 0, "ticket": ticket}
        when = {"wall_ms": at, "market_ms": at}
        self.lines.append(self._line("begin", self._n, op, fields, {}) | shown | when)
        self.lines.append(self._line("end", self._n, op, {}, result) | shown | when)
        if op == "OPEN":
            row = {
                "ticket": ticket, "lots": float(fields["volume"]), "open_price": 1.08512,
                "expiration_s": 0,
            }  # fmt: skip
            self.lines.append({"phase": "state", "n": self._n, "orders": [row]})

    def entry(self, rid: str, at: int = T0, **more: Any) -> None:
        tag = make_tag(ACCT, rid)
        fields = {
            "symbol": "EURUSD", "type": "BUY", "volume": "0.1", "price": "1.08512", "sl": "1.08",
            "tp": "0", "deviation": 20, "expiration": 0,
        }  # fmt: skip
        shown = {"magic": tag.mt4_magic, "comment": f"{tag.comment} note"}
        self.add("OPEN", fields | more, at, **shown)


def _broken(
    book: _Book, signed: dict[str, SignedOrder], terms: BrokerTerms | None = None
) -> set[str]:
    verdict = judge(paper_lines(book.lines, signed, ACCT, terms), signed, ACCT)
    return {name for name, held in verdict.promises.items() if not held.kept}


@pytest.fixture
def book() -> _Book:
    made = _Book()
    made.entry(RIDS[0])
    return made


@pytest.fixture
def signed() -> dict[str, SignedOrder]:
    return {RIDS[0]: _signed(Op.OPEN, _open())}


def test_an_honest_run_keeps_every_promise(book: _Book, signed: dict[str, SignedOrder]) -> None:
    modify = Modify(**WHO, ticket=1001, price="0", sl="1.0790", tp="0", old_sl="1.0800",
                    old_tp="0", expiration=0)  # fmt: skip
    close = Close(**WHO, ticket=1001, symbol="EURUSD", volume="0", deviation=10)
    signed |= {RIDS[1]: _signed(Op.MODIFY, modify), RIDS[2]: _signed(Op.CLOSE, close)}
    book.add("MODIFY", {"ticket": 1001, "price": "1.08512", "sl": "1.079", "tp": "0",
                        "old_sl": "1.08", "old_tp": "0", "expiration": 0})  # fmt: skip
    book.add("CLOSE", {"ticket": 1001, "symbol": "EURUSD", "volume": "0.1", "price": "1.085",
                       "deviation": 10})  # fmt: skip
    assert _broken(book, signed) == set()


def test_an_expiration_is_the_signed_moment_by_the_brokers_clock(
    signed: dict[str, SignedOrder],
) -> None:
    """The ledger has the broker's local time: two hours ahead of UTC here."""
    until = T0 + 3_600_000
    signed[RIDS[0]] = _signed(Op.OPEN, _open(expiration=until))
    terms = BrokerTerms(zone_hours=2)
    for off, broken in (7_200_000, set()), (0, {"S3"}), (7_201_000, {"S3"}), (10_800_000, {"S3"}):
        book = _Book()
        book.entry(RIDS[0], expiration=until + off)
        assert _broken(book, signed, terms) == broken, off


def test_an_entry_twice_breaks_s1(book: _Book, signed: dict[str, SignedOrder]) -> None:
    book.entry(RIDS[0])
    assert _broken(book, signed) == {"S1"}


def test_a_close_twice_breaks_s1(book: _Book, signed: dict[str, SignedOrder]) -> None:
    close = Close(**WHO, ticket=1001, symbol="EURUSD", volume="0", deviation=10)
    signed[RIDS[2]] = _signed(Op.CLOSE, close)
    fields = {"ticket": 1001, "symbol": "EURUSD", "volume": "0.1", "deviation": 10}
    book.add("CLOSE", fields)
    book.add("CLOSE", fields)
    assert _broken(book, signed) == {"S1"}


def test_an_entry_at_its_deadline_breaks_s2(signed: dict[str, SignedOrder]) -> None:
    book = _Book()
    book.entry(RIDS[0], T0 + 5_000)
    assert _broken(book, signed) == {"S2"}


@pytest.mark.parametrize(
    "change",
    [
        {"volume": "0.11"}, {"price": "1.08531"}, {"sl": "1.081"}, {"tp": "1.1"},
        {"type": "SELL"}, {"symbol": "USDJPY"}, {"deviation": 21}, {"expiration": 1_000},
    ],
)  # fmt: skip
def test_an_altered_entry_breaks_s3(change: Line, signed: dict[str, SignedOrder]) -> None:
    book = _Book()
    book.entry(RIDS[0], **change)
    assert _broken(book, signed) == {"S3"}


@pytest.mark.parametrize("change", [{"volume": "0.05"}, {"deviation": 99}])
def test_an_altered_close_breaks_s3(
    book: _Book, signed: dict[str, SignedOrder], change: Line
) -> None:
    close = Close(**WHO, ticket=1001, symbol="EURUSD", volume="0", deviation=10)
    signed[RIDS[2]] = _signed(Op.CLOSE, close)
    fields = {"ticket": 1001, "symbol": "EURUSD", "volume": "0.1", "deviation": 10}
    book.add("CLOSE", fields | change)
    assert _broken(book, signed) == {"S3"}


def test_what_nobody_signed_breaks_s5(book: _Book, signed: dict[str, SignedOrder]) -> None:
    book.add("CANCEL", {"ticket": 4711})
    assert _broken(book, signed) == {"S5"}
    assert _broken(book, {}) == {"S5"}


def test_a_flatten_covers_its_children_within_its_window(
    book: _Book, signed: dict[str, SignedOrder]
) -> None:
    flatten = Flatten(**WHO, scope="ALL", symbol="", reason="enough")
    signed[RIDS[3]] = _signed(Op.FLATTEN, flatten)
    fields = {"ticket": 1001, "symbol": "EURUSD", "volume": "0.1", "deviation": 50}
    book.add("CLOSE", fields, T0 + 60_000)
    assert _broken(book, signed) == set()
    late = _Book()
    late.entry(RIDS[0])
    late.add("CLOSE", fields, T0 + 200_000)
    assert _broken(late, signed) == {"S2"}


def test_a_named_close_comes_before_a_flatten_that_covers_it(
    book: _Book, signed: dict[str, SignedOrder]
) -> None:
    flatten = Flatten(**WHO, scope="ALL", symbol="", reason="enough")
    cancel = Cancel(**WHO, ticket=1001)
    signed |= {RIDS[3]: _signed(Op.FLATTEN, flatten), RIDS[4]: _signed(Op.CANCEL, cancel)}
    book.add("CANCEL", {"ticket": 1001})
    assert _broken(book, signed) == set()


def test_a_protective_step_is_no_submission_and_another_change_is_one() -> None:
    signed = {RIDS[0]: _signed(Op.OPEN, _open())}
    book = _Book()
    book.entry(RIDS[0], sl="0")
    step = {"ticket": 1001, "price": "1.08512", "sl": "1.08", "tp": "0", "old_sl": "0",
            "old_tp": "0", "expiration": 0}  # fmt: skip
    book.add("MODIFY", step, T0 + 60_000)
    assert _broken(book, signed, ECN) == set()
    assert _broken(book, signed) == {"S3", "S5"}  # instant execution has no such step
    book.add("MODIFY", step | {"sl": "1.07"}, T0 + 60_000)
    assert _broken(book, signed, ECN) == {"S5"}


def test_a_call_the_broker_never_got_is_lost_once_the_terminal_is_back(
    book: _Book, signed: dict[str, SignedOrder]
) -> None:
    dead = _Book()
    dead.entry(RIDS[0])
    dead.lines = [line for line in dead.lines if line["phase"] in ("start", "begin")]
    before = paper_lines(dead.lines, signed, ACCT)
    after = paper_lines([*dead.lines, dead.lines[0]], signed, ACCT)
    assert [line.phase for line in before] == ["start", "begin"]
    assert [line.phase for line in after] == ["start", "begin", "end", "start"]
    assert after[2].result == {"outcome": "LOST"}
    assert after[2].comment == after[1].comment

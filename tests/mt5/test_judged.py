"""The broker's ledger can be judged: what was broken on purpose is found broken, no more."""

from __future__ import annotations

from typing import Any, Final

import pytest

from bridge_core.host.ledger import SignedOrder
from bridge_core.protocol.messages import Cancel, Close, Flatten, Modify, Open
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.tag import child_rid, make_tag
from tests.mt5.asking import NOON, broker_of
from tests.mt5.judged import judge_mt5, paper_lines
from tests.support.clock import FakeClock
from tests.support.fake_metatrader5.broker import Broker
from tests.support.oracles import Evidence, Told, broken_promises

ACCT: Final = "acct"
RIDS: Final = tuple(f"{n:032x}" for n in range(1, 9))
WHO: Final[dict[str, Any]] = {"client_order_id": "a", "client": "atlas"}


class Run:
    """A broker, what was signed, and requests as an honest backend builds them from that."""

    def __init__(self, **terms: Any) -> None:
        self.clock = FakeClock(wall=NOON)
        self.broker: Broker = broker_of(self.clock, **terms)
        self.signed: dict[str, SignedOrder] = {}

    def sign(self, rid: str, op: Op, body: Any) -> str:
        self.signed[rid] = SignedOrder(op, self.clock.wall_ms(), 5_000, body)
        return rid

    def tagged(self, rid: str, **request: Any) -> dict[str, Any]:
        """Return a request with the tag of a rid."""
        order = self.signed.get(rid)
        body = order.body if order is not None else None
        strategy, comment = (body.strategy, body.comment) if isinstance(body, Open) else (0, "")
        tag = make_tag(ACCT, rid)
        shown = {"magic": tag.mt5_magic(strategy), "comment": tag.broker_comment(comment, 28)}
        return shown | request

    def send(self, rid: str, **request: Any) -> dict[str, Any]:
        return self.broker.send(self.tagged(rid, **request))

    def open(self, rid: str = RIDS[0], **more: Any) -> dict[str, Any]:
        if rid not in self.signed:
            self.sign(rid, Op.OPEN, _open(sl="1.0900"))
        return self.send(rid, **MARKET | {"sl": 1.09} | more)

    def broken(self, **how: Any) -> set[str]:
        verdict = judge_mt5(self.broker.lines(), self.signed, ACCT, **how)
        return {name for name, held in verdict.promises.items() if not held.kept}

    def begun(self) -> int:
        return judge_mt5(self.broker.lines(), self.signed, ACCT).begun

    def false(self, rid: str, **view: Any) -> list[str]:
        """Return what the oracles say of one answer that a client was given."""
        body = self.signed[rid].op.value
        told = Told(rid, OrderView(rid=rid, **{"op": body} | view))
        lines = paper_lines(self.broker.lines(), self.signed, ACCT)
        evidence = Evidence(acct=ACCT, signed=self.signed, lines=lines, told=[told], whole=False)
        return [each.promise for each in broken_promises(evidence)]


MARKET: Final[dict[str, Any]] = {
    "action": 1, "symbol": "EURUSD", "type": 0, "volume": 0.1, "price": 1.1001, "deviation": 20,
    "type_filling": 1,
}  # fmt: skip


def _open(**more: Any) -> Open:
    fields: dict[str, Any] = {
        "symbol": "EURUSD", "type": "BUY", "volume": "0.10", "price": "1.10000", "sl": "0",
        "tp": "0", "deviation": 20, "expiration": 0, "stops_fail": "KEEP", "strategy": 3,
        "comment": "note",
    }  # fmt: skip
    return Open(**WHO, **(fields | more))


def _close(ticket: int, volume: str = "0") -> Close:
    return Close(**WHO, ticket=ticket, symbol="EURUSD", volume=volume, deviation=20)


def _modify(ticket: int, **more: Any) -> Modify:
    fields: dict[str, Any] = {
        "price": "0",
        "sl": "0",
        "tp": "0",
        "old_sl": "0",
        "old_tp": "0",
        "expiration": 0,
    }
    return Modify(**WHO, ticket=ticket, **fields | more)


@pytest.fixture
def run() -> Run:
    return Run()


# --- the honest runs ----------------------------------------------------------------------------


def test_a_life_of_one_position_breaks_nothing(run: Run) -> None:
    ticket = int(run.open()["order"])
    first, second = _modify(ticket, sl="1.095", tp="1.12", old_sl="1.09"), _close(ticket, "0.04")
    run.sign(RIDS[1], Op.MODIFY, first)
    run.send(RIDS[1], action=6, symbol="EURUSD", position=ticket, sl=1.095, tp=1.12)
    run.sign(RIDS[2], Op.CLOSE, second)
    close = MARKET | {"type": 1, "position": ticket, "price": 1.1}
    assert run.send(RIDS[2], **close | {"volume": 0.04})["retcode"] == 10009
    run.sign(RIDS[3], Op.CLOSE, _close(ticket))
    assert run.send(RIDS[3], **close | {"volume": 0.06})["retcode"] == 10009
    assert run.broker.positions() == ()
    assert run.broken() == set()
    assert run.begun() == 4


def test_a_life_of_a_pending_order_breaks_nothing(run: Run) -> None:
    expires = NOON + 3_600_000
    body = _open(type="BUY_LIMIT", price="1.09", expiration=expires, comment="")
    run.sign(RIDS[0], Op.OPEN, body)
    placed = run.send(
        RIDS[0], action=5, symbol="EURUSD", type=2, volume=0.1, price=1.09, deviation=20,
        type_filling=2, type_time=2, expiration=(expires + 7_200_000) // 1000,
    )  # fmt: skip
    ticket = int(placed["order"])
    run.sign(RIDS[1], Op.MODIFY, _modify(ticket, sl="1.08"))
    kept = {"price": 1.09, "type_time": 2, "expiration": (expires + 7_200_000) // 1000}
    assert run.send(RIDS[1], action=7, order=ticket, sl=1.08, **kept)["retcode"] == 10009
    run.sign(RIDS[2], Op.CANCEL, Cancel(**WHO, ticket=ticket))
    assert run.send(RIDS[2], action=8, order=ticket)["retcode"] == 10009
    assert run.broken(comment_chars=28) == set()


def test_the_children_of_a_flatten_are_known_by_their_ticket(run: Run) -> None:
    ticket = int(run.open()["order"])
    parent = run.sign(RIDS[1], Op.FLATTEN, Flatten(**WHO, scope="ALL", symbol="", reason="test"))
    child = child_rid(parent, ticket)
    run.send(child, **MARKET | {"type": 1, "position": ticket})
    assert run.broken() == set()
    run.open(RIDS[2])
    assert run.broken() == set()
    part = int(run.broker.positions()[0]["ticket"])
    run.send(child_rid(parent, part), **MARKET | {"type": 1, "position": part, "volume": 0.05})
    assert run.broken() == {"S3"}, "a child closes all of it"


def test_a_broker_that_cuts_comments_changes_nothing() -> None:
    run = Run(comment_chars=4, comment_prefix="x")
    run.open()
    assert run.broken() == set()


def test_what_a_person_does_is_no_submission(run: Run) -> None:
    run.broker.manual_close(run.broker.manual_buy("EURUSD", "0.1"))
    run.open()
    assert run.begun() == 1
    assert run.broken() == set()


def test_the_close_of_a_position_without_its_signed_stops_is_not_a_second_submission(
    run: Run,
) -> None:
    run.sign(RIDS[0], Op.OPEN, _open(sl="1.0900", stops_fail="CLOSE"))
    ticket = int(run.open()["order"])
    run.broker.manual_modify(ticket, sl="0")
    run.send(RIDS[0], **MARKET | {"type": 1, "position": ticket})
    assert run.broken() == set()
    assert run.begun() == 1


# --- the broken ones ----------------------------------------------------------------------------


def test_twice_is_found(run: Run) -> None:
    run.open()
    run.open()
    assert run.broken() == {"S1"}


def test_twice_is_found_if_the_broker_replaces_comments_and_one_was_refused() -> None:
    run = Run(comment_replaced="")
    run.broker.fail_next(10018)
    run.open()
    run.open()
    assert run.broken() == {"S1"}


def test_a_close_of_a_position_that_has_its_stops_is_a_second_submission(run: Run) -> None:
    run.sign(RIDS[0], Op.OPEN, _open(sl="1.0900", stops_fail="CLOSE"))
    ticket = int(run.open()["order"])
    run.send(RIDS[0], **MARKET | {"type": 1, "position": ticket})
    assert "S1" in run.broken()


def test_a_close_without_stops_needs_a_signature_that_says_so(run: Run) -> None:
    run.sign(RIDS[0], Op.OPEN, _open(sl="1.0900", stops_fail="KEEP"))
    ticket = int(run.open()["order"])
    run.broker.manual_modify(ticket, sl="0")
    run.send(RIDS[0], **MARKET | {"type": 1, "position": ticket})
    assert "S1" in run.broken()


def test_a_pending_order_whose_expiration_was_changed_unsigned_is_found(run: Run) -> None:
    run.sign(RIDS[0], Op.OPEN, _open(type="BUY_LIMIT", price="1.09", comment=""))
    pending = {"action": 5, "type": 2, "price": 1.09, "type_filling": 2}
    ticket = int(run.send(RIDS[0], **MARKET | pending)["order"])
    run.sign(RIDS[1], Op.MODIFY, _modify(ticket, sl="1.08"))
    later = {"type_time": 2, "expiration": NOON // 1000 + 10_000}
    run.send(RIDS[1], action=7, order=ticket, price=1.09, sl=1.08, **later)
    assert run.broken() == {"S3"}


def test_what_lost_its_magic_is_known_by_its_comment(run: Run) -> None:
    run.open(magic=0)
    begin = paper_lines(run.broker.lines(), run.signed, ACCT)[1]
    assert begin.fields["volume"] == "0.10", "the signed text: this submission has an owner"
    assert run.broken() == {"S3"}


def test_late_is_found(run: Run) -> None:
    run.sign(RIDS[0], Op.OPEN, _open(sl="1.0900"))
    run.clock.advance(5_000)
    run.open()
    assert run.broken() == {"S2"}


def test_unsigned_is_found(run: Run) -> None:
    run.broker.send(run.tagged(RIDS[5], **MARKET))
    assert run.broken() == {"S5"}
    run.broker.send(MARKET)
    held = judge_mt5(run.broker.lines(), run.signed, ACCT).promises["S5"]
    assert (held.held, held.total) == (0, 2)


@pytest.mark.parametrize(
    "altered",
    [
        {"volume": 0.11}, {"type": 1, "sl": 1.2}, {"sl": 0.0}, {"tp": 1.2}, {"deviation": 21},
        {"symbol": "GBPUSD"}, {"price": 1.1003}, {"volume": float("nan")}, {"action": 5, "type": 2},
        {"comment": "another"}, {"comment": ""}, {"magic": 0}, {"magic": 1 << 41},
    ],
    ids=str,
)  # fmt: skip
def test_an_altered_entry_is_found(run: Run, altered: dict[str, Any]) -> None:
    run.sign(RIDS[0], Op.OPEN, _open(sl="1.0900"))
    run.open(**altered)
    assert run.broken() == {"S3"}


def test_an_altered_change_is_found(run: Run) -> None:
    ticket = int(run.open()["order"])
    run.sign(RIDS[1], Op.MODIFY, _modify(ticket, sl="1.095", old_sl="1.09"))
    run.send(RIDS[1], action=6, symbol="EURUSD", position=ticket, sl=1.095, tp=1.2)
    assert run.broken() == {"S3"}


def test_a_change_of_stops_that_were_already_others_is_found(run: Run) -> None:
    ticket = int(run.open()["order"])
    run.sign(RIDS[1], Op.MODIFY, _modify(ticket, sl="1.095", old_sl="1.09"))
    run.broker.manual_modify(ticket, sl="1.08")
    run.send(RIDS[1], action=6, symbol="EURUSD", position=ticket, sl=1.095)
    assert run.broken() == {"S3"}


def test_a_close_of_part_where_all_was_signed_is_found(run: Run) -> None:
    ticket = int(run.open()["order"])
    run.sign(RIDS[1], Op.CLOSE, _close(ticket))
    run.send(RIDS[1], **MARKET | {"type": 1, "position": ticket, "volume": 0.05})
    assert run.broken() == {"S3"}


def test_a_close_that_names_no_position_is_an_entry_that_nobody_signed(run: Run) -> None:
    ticket = int(run.open()["order"])
    run.sign(RIDS[1], Op.CLOSE, _close(ticket))
    run.send(RIDS[1], **MARKET | {"type": 1})
    assert run.broken() == {"S3"}


def test_an_expiration_in_the_wrong_zone_is_found(run: Run) -> None:
    body = _open(type="BUY_LIMIT", price="1.09", expiration=NOON + 7_260_000, comment="")
    run.sign(RIDS[0], Op.OPEN, body)
    run.send(
        RIDS[0], action=5, symbol="EURUSD", type=2, volume=0.1, price=1.09, deviation=20,
        type_filling=2, type_time=2, expiration=NOON // 1000 + 7_260,
    )  # fmt: skip
    assert run.broken() == {"S3"}


# --- what became of it: the books, not the answer ----------------------------------------


def test_executed_is_what_the_deals_say(run: Run) -> None:
    run.broker.fail_next(10012, executed=True)
    answer = run.open()
    assert answer["order"] == 0
    ticket = run.broker.positions()[0]["ticket"]
    assert run.false(RIDS[0], status="REJECTED", code="BROKER_REJECTED") == ["S6"]
    good = {"status": "FILLED", "ticket": ticket, "volume": "0.1", "price": "1.1001"}
    assert run.false(RIDS[0], **good) == []
    assert run.false(RIDS[0], **good | {"volume": "0.2"}) == ["S6"]
    assert run.false(RIDS[0], **good | {"price": "1.1"}) == ["S6"]
    assert run.false(RIDS[0], **good | {"ticket": 5}) == ["S6"]


def test_filled_in_parts_is_the_sum_at_the_mean_price(run: Run) -> None:
    run.broker.fill_next("0.03", "0.07", gap_ms=100)
    answer = run.open()
    run.broker.price("EURUSD", "1.10020", "1.10030")
    run.clock.advance(100)
    shown = {"status": "FILLED", "ticket": answer["order"], "volume": "0.1", "price": "1.10024"}
    assert run.false(RIDS[0], **shown) == []


def test_placed_first_and_rejected_later_is_rejected(run: Run) -> None:
    run.broker.place_next("reject", after_ms=50)
    run.open()
    assert paper_lines(run.broker.lines(), run.signed, ACCT)[-1].result["outcome"] == "LOST"
    run.clock.advance(50)
    assert paper_lines(run.broker.lines(), run.signed, ACCT)[-1].result["outcome"] == "REJECTED"
    assert run.false(RIDS[0], status="REJECTED", code="BROKER_REJECTED") == []
    assert run.false(RIDS[0], status="FILLED") == ["S6"]


def test_received_and_never_executed_is_lost(run: Run) -> None:
    run.sign(RIDS[0], Op.OPEN, _open(sl="1.0900"))
    run.broker.accept(run.tagged(RIDS[0], **MARKET | {"sl": 1.09}))
    assert run.broken() == set()
    assert run.false(RIDS[0], status="FILLED") == ["S6"]
    assert run.false(RIDS[0], status="REJECTED", code="BROKER_REJECTED") == []


def test_never_asked_is_no_rejection_of_the_broker(run: Run) -> None:
    run.sign(RIDS[0], Op.OPEN, _open())
    assert run.false(RIDS[0], status="REJECTED", code="BROKER_REJECTED") == ["S6"]
    assert run.false(RIDS[0], status="DENIED", code="BROKER_DOWN") == []


def test_a_check_that_said_no_is_the_brokers_word_and_the_last_one(run: Run) -> None:
    run.sign(RIDS[0], Op.OPEN, _open(volume="50", sl="1.0900"))
    request = run.tagged(RIDS[0], **MARKET | {"volume": 50.0, "sl": 1.09})
    assert run.broker.check(request)["retcode"] == 10019
    assert run.false(RIDS[0], status="REJECTED", code="NO_MONEY") == []
    assert run.false(RIDS[0], status="FILLED") == ["S6"]
    assert run.broken() == set()
    assert run.broker.begun() == 0, "nothing was sent"
    run.broker.send(request)
    assert run.broken() == {"S1"}, "what the check refused was sent all the same"


def test_checks_that_say_yes_or_that_nobody_signed_are_not_judged(run: Run) -> None:
    run.sign(RIDS[0], Op.OPEN, _open(sl="1.0900"))
    run.broker.check(run.tagged(RIDS[0], **MARKET | {"sl": 1.09}))
    run.broker.check(run.tagged(RIDS[1], **MARKET | {"volume": 50.0}))
    run.open()
    assert run.broken() == set()
    assert run.begun() == 1


def test_on_a_netting_account_an_entry_is_judged_by_its_order() -> None:
    run = Run(margin_mode="netting")
    first = run.open()
    run.open(RIDS[1])
    assert run.broken() == set()
    shown = {"status": "FILLED", "ticket": first["order"], "volume": "0.1", "price": "1.1001"}
    assert run.false(RIDS[1], **shown) == []
    run.sign(RIDS[2], Op.OPEN, _open(type="SELL", volume="0.3"))
    turn = run.send(RIDS[2], **MARKET | {"type": 1, "volume": 0.3})
    shown = {"status": "FILLED", "ticket": turn["order"], "volume": "0.3", "price": "1.1"}
    assert run.false(RIDS[2], **shown) == [], "a position that turned has another ticket"

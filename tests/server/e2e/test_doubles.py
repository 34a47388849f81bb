"""One tag on two of the broker's orders, late deals, and resting orders that end unseen."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import GetRange, Settle
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import LogPage
from bridge_server.core.ports import EndedOrder, Lost, Outcome, Submission
from tests.support.raw_client import Answer, RawClient, close_body, decode
from tests.support.running import Account, Running, wait_until
from tests.support.scripted_backend import ScriptedBackend, late, loses


def _twice(backend: ScriptedBackend, submission: Submission) -> Outcome:
    backend.trade(submission)
    backend.trade(submission)
    return Lost(cause="no answer")


def _settle(client: RawClient, rid: str, status: str, ticket: int = 0) -> Answer:
    body = Settle(rid=rid, status=status, ticket=ticket, reason="looked it up")  # type: ignore[arg-type]
    return client.do(Op.SETTLE, body)


def test_two_orders_with_one_tag_halt_the_account_and_only_a_person_ends_it(
    account: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client, operator = server.ready(), server.client("operator")
        broker.plan.append(_twice)
        rid = client.open().token.rid
        wait_until(lambda: client.hello().state == "HALTED")
        ghost = next(one for one in client.health().causes if one.cause == "GHOST_FILL")
        assert all(str(number) in ghost.reason for number in broker.positions)
        assert rid in ghost.reason
        scans = len(broker.scans)
        wait_until(lambda: len(broker.scans) >= scans + 2)  # it is looked at again and again
        assert client.status(rid=rid).subject().status == "UNKNOWN"
        for word in ("DENIED", "REJECTED"):
            answer = _settle(operator, rid, word)
            assert (answer.code, answer.order().evidence) in {
                ("SETTLE_REFUSED", ""), ("SETTLE_REFUSED", "SERVER"),
            }  # fmt: skip
        assert client.status(rid=rid).subject().status == "UNKNOWN"
        assert _settle(operator, rid, "FILLED", min(broker.positions)).status == "DONE"
        order = client.status(rid=rid).subject()
        assert (order.status, order.evidence) == ("FILLED", "HUMAN")
        assert client.hello().state == "HALTED"  # a latch is a latch


def test_a_close_that_runs_after_its_absence_was_concluded_is_a_ghost_too(
    account: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client = server.ready()
        ticket = client.opened()
        broker.plan.append(late(0.5))
        lost = client.do(Op.CLOSE, close_body(ticket))
        wait_until(lambda: client.status(rid=lost.token.rid).subject().status == "DENIED")
        wait_until(lambda: not broker.positions)
        broker.plan.append(loses(executed=False))
        client.open()  # its scan shows the deal, for no position can
        wait_until(lambda: client.hello().state == "HALTED")
        assert [one.cause for one in client.hello().causes] == ["GHOST_FILL"]


def test_a_late_close_is_seen_by_its_deal_and_not_only_when_something_else_is_scanned(
    account: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client = server.ready()
        ticket = client.opened()
        broker.plan.append(late(0.5))
        lost = client.do(Op.CLOSE, close_body(ticket))
        wait_until(lambda: client.status(rid=lost.token.rid).subject().status == "DENIED")
        wait_until(lambda: not broker.positions)
        broker.events.append(EventBody(type="position_closed", ticket=ticket, deal=7))
        wait_until(lambda: client.hello().state == "HALTED")
        assert [one.cause for one in client.hello().causes] == ["GHOST_FILL"]


def _life(client: RawClient, rid: str) -> str:
    return client.status(rid=rid).subject().life


def test_a_resting_order_that_ends_unseen_is_looked_up_in_the_records(account: Account) -> None:
    broker = ScriptedBackend()
    broker.settle_ms = 300
    with Running(account, broker) as server:
        client = server.ready()
        placed = client.open(type="BUY_LIMIT", price="1.09000")
        ticket, rid = placed.order().ticket, placed.token.rid
        wait_until(lambda: len(client.query(Op.GET_ORDERS).orders) == 1)
        end = EndedOrder(
            ticket=ticket, symbol="EURUSD", life="CANCELLED", type="BUY_LIMIT",
            volume=Decimal("0.10"), filled=Decimal("0.04"),
        )  # fmt: skip
        broker.ended.append(end)
        broker.orders = {}
        wait_until(lambda: _life(client, rid) == "CANCELLED")
        page = decode(LogPage, client.do(Op.GET_LOG, GetRange(since=0, first=1, count=0)))
        told = [row.record for row in page.rows if '"kind":"LIFE"' in row.record]
        assert ['"PARTIAL"' in one for one in told] == [True, False]
        assert '"CANCELLED"' in told[-1]


def test_a_resting_order_that_no_picture_ever_showed_is_looked_up_until_the_records_tell(
    account: Account,
) -> None:
    broker = ScriptedBackend()
    broker.settle_ms = 300

    def gone_at_once(broker: ScriptedBackend, submission: Submission) -> Outcome:
        placed = broker.trade(submission)
        broker.orders = {}
        return placed

    broker.plan.append(gone_at_once)
    with Running(account, broker) as server:
        client = server.ready()
        placed = client.open(type="BUY_LIMIT", price="1.09000")
        ticket, rid = placed.order().ticket, placed.token.rid
        scans = len(broker.scans)
        wait_until(lambda: len(broker.scans) > scans)  # and the records say nothing yet
        assert _life(client, rid) == "WORKING"
        end = EndedOrder(
            ticket=ticket, symbol="EURUSD", life="CANCELLED", type="BUY_LIMIT",
            volume=Decimal("0.10"),
        )  # fmt: skip
        broker.ended.append(end)
        wait_until(lambda: _life(client, rid) == "CANCELLED")
        assert server.server.service.settlement.lives.some_gone() is False


def test_a_part_that_fills_while_the_rest_rests_is_a_partial_life(
    running: Running, trader: RawClient
) -> None:
    placed = trader.open(type="BUY_LIMIT", price="1.09000")
    ticket, rid = placed.order().ticket, placed.token.rid
    part = EventBody(type="position_opened", ticket=ticket, order=ticket, status="PARTIAL")
    running.scripted.events.append(part)
    wait_until(lambda: _life(trader, rid) == "PARTIAL")
    running.scripted.events.append(EventBody(type="position_opened", ticket=ticket, order=ticket))
    wait_until(lambda: _life(trader, rid) == "FILLED")


@pytest.mark.parametrize("kind", ["position_modified", "position_closed"])
def test_where_an_account_nets_a_resting_order_fills_into_what_is_there(
    running: Running, trader: RawClient, kind: str
) -> None:
    placed = trader.open(type="BUY_LIMIT", price="1.09000")
    ticket, rid = placed.order().ticket, placed.token.rid
    other = EventBody(type=kind, ticket=ticket)  # of the position only: it has no deal
    running.scripted.events.append(other)
    part = EventBody(type=kind, ticket=77, order=ticket, deal=5, status="PARTIAL")
    running.scripted.events.append(part)
    wait_until(lambda: _life(trader, rid) == "PARTIAL")
    running.scripted.events.append(EventBody(type=kind, ticket=77, order=ticket, deal=6))
    wait_until(lambda: _life(trader, rid) == "FILLED")

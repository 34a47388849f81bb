"""FLATTEN: one signed order, one child for each ticket, an outcome for each (protocol.md 5)."""

from __future__ import annotations

from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.messages import Flatten
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import child_rid
from tests.support.raw_client import RawClient, open_body
from tests.support.running import Account, Running, wait_until
from tests.support.scripted_backend import loses, rejects


def _book(client: RawClient) -> tuple[set[int], set[int]]:
    held = {client.opened() for _ in range(3)}
    resting = {client.opened(type="BUY_LIMIT", price="1.09000") for _ in range(2)}
    return held, resting


def _body(scope: str = "ALL") -> Flatten:
    return Flatten(
        client_order_id=f"flat-{scope}",
        client="raw",
        scope=scope,  # type: ignore[arg-type]
        symbol="",
        reason="enough",
    )


def test_flatten_closes_and_cancels_everything_with_an_outcome_for_each_ticket(
    running: Running, trader: RawClient
) -> None:
    held, resting = _book(trader)
    frames = trader.sign(Op.FLATTEN, _body())
    answer = trader.ask(frames)
    order = answer.order()
    assert (answer.status, answer.code, order.final) == ("DONE", "-", True)
    assert {one.ticket for one in order.children} == held | resting
    for child in order.children:
        assert child.rid == child_rid(order.rid, child.ticket)
        assert child.op == ("CLOSE" if child.ticket in held else "CANCEL")
        assert trader.status(rid=child.rid).subject().parent == order.rid
        assert running.scripted.begun(child.rid) == 1
    assert running.scripted.positions == {}
    assert running.scripted.orders == {}
    # A copy of it closes nothing that came later.
    later = trader.opened()
    assert trader.ask(frames).frames == answer.frames
    assert later in running.scripted.positions


def test_flatten_takes_only_its_scope(running: Running, trader: RawClient) -> None:
    held, resting = _book(trader)
    assert trader.do(Op.FLATTEN, _body("PENDINGS")).status == "DONE"
    assert set(running.scripted.positions) == held
    assert running.scripted.orders == {}
    assert trader.do(Op.FLATTEN, _body("POSITIONS")).status == "DONE"
    assert running.scripted.positions == {}
    assert resting


def test_flatten_of_nothing_is_done(trader: RawClient) -> None:
    answer = trader.flatten()
    assert (answer.status, answer.order().children) == ("DONE", [])


def test_one_ticket_the_broker_refuses_makes_it_partial_and_names_it(
    running: Running, trader: RawClient
) -> None:
    held, _ = _book(trader)
    running.scripted.plan += [rejects(ReasonCode.MARKET_CLOSED)]
    answer = trader.flatten("POSITIONS")
    assert (answer.status, answer.code) == ("PARTIAL", "CHILD_FAILED")
    failed = [one for one in answer.order().children if one.status != "FILLED"]
    assert [one.code for one in failed] == ["MARKET_CLOSED"]
    assert set(running.scripted.positions) == {failed[0].ticket} <= held


def test_one_ticket_that_is_lost_makes_it_unknown_until_the_records_tell(
    running: Running, trader: RawClient
) -> None:
    _book(trader)
    running.scripted.scan_complete = False
    running.scripted.plan += [loses(executed=False)]
    answer = trader.flatten("POSITIONS")
    assert answer.status == "UNKNOWN"
    assert sum(one.status == "UNKNOWN" for one in answer.order().children) == 1
    wait_until(lambda: len(running.scripted.positions) == 1)
    running.scripted.scan_complete = True
    rid = answer.token.rid
    wait_until(lambda: trader.status(rid=rid).subject().final)
    order = trader.status(rid=rid).subject()
    assert order.status == "PARTIAL"
    assert sorted(one.status for one in order.children) == ["DENIED", "FILLED", "FILLED"]
    wait_until(lambda: trader.hello().causes == [])


def test_no_limit_and_no_state_refuses_a_flatten(account: Account) -> None:
    with Running(account) as server:
        client = server.ready()
        held, _ = _book(client)
        server.scripted.put_position(magic=0)  # nobody's order: flat means flat
        client.stop(Op.HALT)
        for _ in range(120):
            client.open()  # empties the bucket of entries
        answer = client.flatten()
        assert answer.status == "DONE"
        assert len(answer.order().children) >= len(held) + 2


def test_flatten_goes_before_entries_that_wait(running: Running, trader: RawClient) -> None:
    held, _ = _book(trader)
    hang = running.scripted.hang()
    begun = len(running.scripted.ledger)
    trader.send(trader.sign(Op.OPEN, open_body()))
    hang.wait_entered()
    trader.send(trader.sign(Op.OPEN, open_body()))
    trader.send(trader.sign(Op.FLATTEN, _body("POSITIONS")))
    wait_until(lambda: running.client().health().open_orders == 3 + len(held))
    hang.release()
    wait_until(lambda: len(running.scripted.ledger) == begun + 2 + len(held))
    ops = [one.op for one in running.scripted.ledger[begun:]]
    assert ops == [Op.OPEN, *[Op.CLOSE] * len(held), Op.OPEN]

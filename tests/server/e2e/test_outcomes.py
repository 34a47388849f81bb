"""What becomes of an order: definite answers, UNKNOWN and how it ends, MODIFY (protocol.md 7)."""

from __future__ import annotations

import threading
import time

import pytest

from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.messages import Modify, Resume, Settle
from bridge_core.protocol.operations import Op
from bridge_server.core.ports import Executed, Facts
from tests.support.raw_client import Answer, RawClient, now_ms, open_body
from tests.support.running import Account, Running, wait_until
from tests.support.scripted_backend import (
    ScriptedBackend,
    answers,
    late,
    loses,
    not_begun,
    raises,
    rejects,
)


def _final(client: RawClient, rid: str) -> str:
    wait_until(lambda: client.status(rid=rid).subject().final)
    return client.status(rid=rid).subject().status


def test_the_brokers_no_is_rejected_with_its_code_and_retcode(
    running: Running, trader: RawClient
) -> None:
    running.scripted.plan.append(rejects(ReasonCode.NO_MONEY))
    answer = trader.open()
    order = answer.order()
    assert (answer.status, answer.code, order.by) == ("REJECTED", "NO_MONEY", "broker")
    assert (order.retcode, order.final) == (10019, True)


def test_what_the_executor_proves_not_to_have_begun_is_denied_by_the_executor(
    running: Running, trader: RawClient
) -> None:
    running.scripted.plan.append(not_begun(ReasonCode.PRICE_MOVED))
    answer = trader.open()
    assert (answer.status, answer.code) == ("DENIED", "PRICE_MOVED")
    assert answer.order().by == "executor"
    assert running.scripted.ledger == []


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("how", ["lost", "exception"])
def test_a_lost_answer_is_unknown_and_ends_by_the_brokers_records(
    account: Account, executed: bool, how: str
) -> None:
    broker = ScriptedBackend()
    broker.settle_ms = 400
    with Running(account, broker) as server:
        client = server.ready()
        broker.scan_complete = False
        failed = raises(RuntimeError("nobody listed this"), executed=executed)
        broker.plan.append(loses(executed=executed) if how == "lost" else failed)
        lost = client.open()
        assert (lost.status, lost.code) == ("UNKNOWN", "NO_ANSWER")
        rid = lost.token.rid
        if not executed:
            # Meanwhile its symbol takes no entries, its worst case counts, a close still runs.
            assert client.open().code == "UNKNOWN_ORDER_OPEN"
            causes = {(one.cause, one.symbol) for one in client.health().causes}
            assert ("UNKNOWN", "EURUSD") in causes
            used = [v for v in client.query(Op.GET_LIMITS).limits if v.name == "max_positions"]
            assert used[0].used == "1"
            time.sleep(0.5)  # an incomplete scan proves no absence, however long
            assert client.status(rid=rid).subject().status == "UNKNOWN"
        broker.scan_complete = True
        assert _final(client, rid) == ("FILLED" if executed else "DENIED")
        order = client.status(rid=rid).subject()
        assert order.evidence == ("TAG" if executed else "ABSENT")
        assert order.code == ("-" if executed else "ABSENT")
        wait_until(lambda: client.hello().causes == [])
        assert client.open().status == "FILLED"
        assert broker.begun(rid) == 1


@pytest.mark.parametrize(
    "answer",
    [None, "done", 10009, True, Executed(status=Status.REJECTED, facts=Facts())],
    ids=str,
)
def test_an_answer_that_nobody_listed_is_unknown(
    running: Running, trader: RawClient, answer: object
) -> None:
    running.scripted.plan.append(answers(answer))
    lost = trader.open()
    assert lost.status == "UNKNOWN"
    assert _final(trader, lost.token.rid) == "DENIED"
    assert running.scripted.begun(lost.token.rid) == 1


def test_a_snapshot_that_fails_after_a_fill_does_not_lose_the_fill(
    running: Running, trader: RawClient
) -> None:
    def fill(backend: ScriptedBackend, submission: object) -> object:
        backend.broken_snapshot = True
        return backend.trade(submission)  # type: ignore[arg-type]

    running.scripted.plan.append(fill)
    assert trader.open().status == "FILLED"
    running.scripted.broken_snapshot = False
    wait_until(lambda: len(trader.query(Op.GET_POSITIONS).positions) == 1)


def test_entries_queued_behind_an_order_that_is_lost_never_begin(
    running: Running, trader: RawClient
) -> None:
    running.scripted.scan_complete = False
    hang = running.scripted.hang(loses(executed=False))
    sent = [trader.sign(Op.OPEN, open_body()) for _ in range(3)]
    for frames in sent:
        trader.send(frames)
    hang.wait_entered()
    wait_until(lambda: running.client().health().open_orders == 3)
    hang.release()
    assert [one.code for one in trader.answers(sent)] == [
        "NO_ANSWER",
        "UNKNOWN_ORDER_OPEN",
        "UNKNOWN_ORDER_OPEN",
    ]
    assert len(running.scripted.ledger) == 1


def test_a_late_fill_within_settle_is_found_and_reported_as_filled(account: Account) -> None:
    broker = ScriptedBackend()
    broker.settle_ms = 800
    with Running(account, broker) as server:
        client = server.ready()
        broker.plan.append(late(0.3))
        lost = client.open()
        assert lost.status == "UNKNOWN"
        assert _final(client, lost.token.rid) == "FILLED"
        assert client.status(rid=lost.token.rid).subject().evidence == "TAG"


def test_a_fill_that_turns_up_after_its_absence_was_concluded_halts_the_account(
    account: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client = server.ready()
        broker.plan.append(late(0.5))
        lost = client.open()
        assert _final(client, lost.token.rid) == "DENIED"
        wait_until(lambda: client.hello().state == "HALTED")
        assert [one.cause for one in client.hello().causes] == ["GHOST_FILL"]
        assert client.open().code == "HALTED"
        assert client.flatten().status == "DONE"
    with Running(account, broker) as server:  # a latch outlives the restart
        client = server.client()
        assert client.hello().state == "HALTED"
        operator = server.client("operator")
        resume = Resume(cause="GHOST_FILL", reason="closed it")
        assert operator.do(Op.RESUME, resume).status == "DONE"
        wait_until(lambda: client.hello().state == "ACTIVE")


# --- SETTLE ------------------------------------------------------------------------------------


@pytest.fixture
def lost(running: Running, trader: RawClient) -> Answer:
    running.scripted.scan_complete = False
    running.scripted.plan.append(loses(executed=False))
    return trader.open()


def _settle(client: RawClient, rid: str, status: str = "DENIED", ticket: int = 0) -> Answer:
    body = Settle(rid=rid, status=status, ticket=ticket, reason="the broker said so")  # type: ignore[arg-type]
    return client.do(Op.SETTLE, body)


def test_an_operators_word_ends_unknown_and_is_marked_human_for_ever(
    running: Running, trader: RawClient, lost: Answer
) -> None:
    operator = running.client("operator")
    answer = _settle(operator, lost.token.rid)
    assert answer.status == "DONE"
    order = trader.status(rid=lost.token.rid).subject()
    assert (order.status, order.code, order.evidence) == ("DENIED", "HUMAN", "HUMAN")
    wait_until(lambda: trader.hello().causes == [])
    assert _settle(operator, lost.token.rid).code == "SETTLE_REFUSED"


def test_settle_with_a_trade_key_meets_silence(
    running: Running, trader: RawClient, lost: Answer
) -> None:
    body = Settle(rid=lost.token.rid, status="DENIED", ticket=0, reason="mine")
    assert trader.silent(trader.sign(Op.SETTLE, body), 100)
    assert trader.status(rid=lost.token.rid).subject().status == "UNKNOWN"


def test_settle_is_refused_for_what_is_not_unknown(running: Running, trader: RawClient) -> None:
    operator = running.client("operator")
    rid = trader.open().token.rid
    for subject in (rid, "cd" * 16):
        answer = _settle(operator, subject)
        assert (answer.status, answer.code) == ("DENIED", "SETTLE_REFUSED")
    assert trader.status(rid=rid).subject().status == "FILLED"


def test_settle_is_refused_while_evidence_contradicts_it(account: Account) -> None:
    broker = ScriptedBackend()
    broker.settle_ms = 60_000
    with Running(account, broker) as server:
        client = server.ready()
        broker.plan.append(late(0.15))
        lost = client.open()
        operator = server.client("operator")
        wait_until(lambda: len(client.query(Op.GET_POSITIONS).positions) == 1)
        answer = _settle(operator, lost.token.rid)
        assert answer.code == "SETTLE_REFUSED"
        assert client.status(rid=lost.token.rid).subject().status in ("UNKNOWN", "FILLED")


# --- MODIFY and CANCEL ---------------------------------------------------------------------------


def test_a_modify_of_stops_that_are_no_longer_what_they_were_is_denied_changed(
    running: Running, trader: RawClient
) -> None:
    ticket = trader.opened()
    assert trader.modify(ticket, sl="1.09000").status == "DONE"
    answer = trader.modify(ticket, sl="1.08000", old_sl="0")
    assert (answer.status, answer.code) == ("DENIED", "CHANGED")
    assert trader.modify(ticket, sl="1.08000", old_sl="1.09000").status == "DONE"


def test_of_two_modifies_out_of_order_the_older_is_superseded(
    running: Running, trader: RawClient
) -> None:
    ticket = trader.opened()
    now = now_ms()

    def body(sl: str, old: str) -> Modify:
        return Modify(
            client_order_id=f"m{sl}", client="raw", ticket=ticket, price="0", sl=sl, tp="0",
            old_sl=old, old_tp="0", expiration=0,
        )  # fmt: skip

    assert trader.do(Op.MODIFY, body("1.09000", "0"), iat=now).status == "DONE"
    for iat in (now, now - 100):
        late_one = trader.do(Op.MODIFY, body(f"1.0{iat - now + 700}00", "1.09000"), iat=iat)
        assert (late_one.status, late_one.code) == ("DENIED", "SUPERSEDED")
    assert str(running.scripted.positions[ticket].sl) == "1.09000"


def test_a_lost_modify_and_a_lost_cancel_end_by_what_the_broker_shows(
    running: Running, trader: RawClient
) -> None:
    ticket = trader.opened()
    running.scripted.plan.append(loses(executed=True))
    modified = trader.modify(ticket, sl="1.09000")
    assert modified.status == "UNKNOWN"
    assert _final(trader, modified.token.rid) == "DONE"
    assert trader.status(rid=modified.token.rid).subject().evidence == "SHAPE"
    placed = trader.open(type="BUY_LIMIT", price="1.09000")
    assert placed.status == "WORKING"
    running.scripted.plan.append(loses(executed=True))
    cancelled = trader.cancel(placed.order().ticket)
    assert cancelled.status == "UNKNOWN"
    assert _final(trader, cancelled.token.rid) == "DONE"


def test_a_call_that_hangs_and_then_answers_is_believed_after_pending(
    running: Running, trader: RawClient
) -> None:
    hang = running.scripted.hang()
    done: list[Answer] = []
    asking = threading.Thread(target=lambda: done.append(trader.open()))
    asking.start()
    hang.wait_entered()
    time.sleep(0.05)
    hang.release()
    asking.join(5)
    assert done[0].status == "FILLED"

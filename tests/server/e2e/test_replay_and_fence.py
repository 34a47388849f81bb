"""A request id means one order for ever: replays, duplicates, races, FENCE (attacks C)."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.limits import CLOCK_SKEW_MS_MAX
from bridge_core.protocol.messages import GetStatus, Hello
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from tests.support.raw_client import Answer, RawClient, close_body, now_ms, open_body
from tests.support.running import Account, Running, wait_until
from tests.support.scripted_backend import ScriptedBackend, loses, rejects


def test_the_same_bytes_on_the_same_socket_get_the_same_bytes_back(
    running: Running, trader: RawClient
) -> None:
    frames = trader.sign(Op.OPEN, open_body())
    first, again = trader.ask(frames), trader.ask(frames)
    assert first.status == "FILLED"
    assert again.frames == first.frames
    assert running.scripted.begun(first.token.rid) == 1


def test_the_same_bytes_on_another_socket_of_the_same_identity_get_the_same_bytes_back(
    running: Running, trader: RawClient
) -> None:
    frames = trader.sign(Op.OPEN, open_body())
    first = trader.ask(frames)
    assert running.client().ask(frames).frames == first.frames
    assert running.scripted.begun(first.token.rid) == 1


def test_the_same_bytes_from_another_sets_identity_meet_silence(
    running: Running, trader: RawClient
) -> None:
    frames = trader.sign(Op.OPEN, open_body())
    first = trader.ask(frames)
    for who in ("query", "trade", "operator"):
        assert running.client(who).silent(frames, 60)
    assert trader.ask(frames).frames == first.frames
    assert running.scripted.begun(first.token.rid) == 1


def test_the_same_bytes_after_the_deadline_get_the_outcome_and_never_expired(
    running: Running, trader: RawClient
) -> None:
    frames = trader.sign(Op.OPEN, open_body(), ttl=200)
    first = trader.ask(frames)
    time.sleep(0.25)
    assert trader.ask(frames).frames == first.frames
    assert first.status == "FILLED"
    assert running.scripted.begun(first.token.rid) == 1


def test_a_denied_order_stays_denied_with_the_same_bytes(
    running: Running, trader: RawClient
) -> None:
    frames = trader.sign(Op.OPEN, open_body(volume="50"))
    first = trader.ask(frames)
    assert (first.status, first.code) == ("DENIED", "MAX_VOLUME")
    assert trader.ask(frames).frames == first.frames
    time.sleep(0.05)  # it is in the journal by now
    assert trader.ask(frames).frames == first.frames
    assert running.scripted.ledger == []


def test_the_same_bytes_after_a_restart_get_the_same_bytes_back(account: Account) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client = server.ready()
        frames = client.sign(Op.OPEN, open_body())
        denied = client.sign(Op.OPEN, open_body(volume="50"))
        first, refused = client.ask(frames), client.ask(denied)
    with Running(account, broker) as server:
        client = server.ready()
        assert client.ask(frames).frames == first.frames
        assert client.ask(denied).frames == refused.frames
    assert broker.begun(first.token.rid) == 1


def test_the_same_bytes_after_the_journal_is_lost_are_unknown_and_never_run(
    account: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client = server.ready()
        ran = client.sign(Op.OPEN, open_body())
        never_sent = client.sign(Op.OPEN, open_body())
        rid = client.ask(ran).token.rid
    shutil.rmtree(account.state)
    with Running(account, broker) as server:
        client = server.ready()
        for frames in (ran, never_sent):
            answer = client.ask(frames)
            assert (answer.status, answer.code) == ("UNKNOWN", "STALE_INCARNATION")
        assert len(broker.ledger) == 1
        # What became of the first is told by the broker's records, through FENCE.
        inc, iat = ran.token.split(b":")[8].decode(), int(ran.token.split(b":")[6])
        client.fence(rid, inc, iat)
        wait_until(lambda: client.status(rid=rid).subject().status == "FILLED")
        assert client.status(rid=rid).subject().evidence == "TAG"
    assert len(broker.ledger) == 1


def test_a_stale_incarnation_never_runs_and_is_unknown_not_denied(
    running: Running, trader: RawClient
) -> None:
    frames = trader.sign(Op.OPEN, open_body(), inc="ab" * 8)
    answer = trader.ask(frames)
    assert (answer.status, answer.code) == ("UNKNOWN", "STALE_INCARNATION")
    assert trader.status(rid=answer.token.rid).code == "NOT_SEEN"
    assert running.scripted.ledger == []


def test_the_same_request_id_with_other_bytes_is_a_conflict_and_changes_nothing(
    running: Running, trader: RawClient
) -> None:
    first = trader.ask(trader.sign(Op.OPEN, open_body()))
    rid = first.token.rid
    for other in (
        trader.sign(Op.OPEN, open_body(volume="0.02"), rid=rid),
        trader.sign(Op.CLOSE, close_body(first.order().ticket), rid=rid),
        running.client("trade").sign(Op.OPEN, open_body(), rid=rid, inc=trader.inc),
    ):
        client = trader if other.token.split(b":")[2].decode() == trader.bundle.kid else None
        answer = (client or running.client("trade")).ask(other)
        assert (answer.status, answer.code) == ("DENIED", "CONFLICT")
    assert trader.status(rid=rid).subject().status == "FILLED"
    assert running.scripted.begun(rid) == 1


def test_a_copy_of_an_order_in_flight_is_pending_at_once(
    running: Running, trader: RawClient
) -> None:
    hang = running.scripted.hang()
    frames = trader.sign(Op.OPEN, open_body())
    trader.send(frames)
    hang.wait_entered()
    begun = time.monotonic()
    copy = trader.ask(frames)
    assert copy.status == "PENDING"
    assert time.monotonic() - begun < 1.8, "it waited as the first copy does"
    hang.release()
    assert trader.answers([frames])[0].status == "FILLED"
    assert running.scripted.begun(copy.token.rid) == 1


def test_two_threads_racing_one_request_id_make_one_submission(running: Running) -> None:
    first, second = running.ready(), running.client()
    for _ in range(25):
        frames = first.sign(Op.OPEN, open_body())
        answers = _race(partial(first.ask, frames), partial(second.ask, frames))
        rid = answers[0].token.rid
        assert running.scripted.begun(rid) == 1
        assert {one.status for one in answers} <= {"FILLED", "PENDING"}


def test_two_threads_racing_one_client_order_id_make_one_submission(running: Running) -> None:
    first, second = running.ready(), running.client()
    for _ in range(25):
        wanted = secrets.token_hex(8)
        before = len(running.scripted.ledger)
        answers = _race(
            partial(first.open, client_order_id=wanted),
            partial(second.open, client_order_id=wanted),
        )
        assert len(running.scripted.ledger) == before + 1
        assert sorted(one.status for one in answers) == ["DENIED", "FILLED"]
        denied = next(one for one in answers if one.status == "DENIED")
        assert denied.code == "DUPLICATE_ID"


def _race(*racers: Callable[[], Answer]) -> list[Answer]:
    with ThreadPoolExecutor(len(racers)) as pool:
        return [one.result(10) for one in [pool.submit(racer) for racer in racers]]


def test_a_duplicate_id_carries_the_order_that_has_it(running: Running, trader: RawClient) -> None:
    first = trader.open(client_order_id="mine")
    second = trader.open(client_order_id="mine", volume="0.02")
    assert (second.status, second.code) == ("DENIED", "DUPLICATE_ID")
    existing = second.order().existing
    assert existing is not None
    assert (existing.rid, existing.ticket) == (first.token.rid, first.order().ticket)
    assert trader.status(client_order_id="mine").subject().rid == first.token.rid
    # A refusal uses the id up as well, and says so.
    refused = trader.open(client_order_id="other", volume="50")
    assert refused.code == "MAX_VOLUME"
    assert trader.open(client_order_id="other").code == "DUPLICATE_ID"
    assert len(running.scripted.ledger) == 1


def test_a_query_answered_once_is_not_answered_again(running: Running, trader: RawClient) -> None:
    for op, body in (
        (Op.HELLO, Hello(client="raw", version="1", sent=now_ms())),
        (Op.PING, Hello(client="raw", version="1", sent=now_ms())),
        (Op.GET_STATUS, GetStatus(rid=secrets.token_hex(16), client_order_id="")),
        (Op.CHECK, open_body()),
    ):
        frames = trader.sign(op, body)
        assert trader.ask(frames).code in ("-", "NOT_SEEN")
        again = trader.ask(frames)
        assert (again.status, again.code) == ("DENIED", "REPLAYED")


def test_a_recorded_query_is_refused_after_its_life_and_a_late_fence_too(
    running: Running, trader: RawClient
) -> None:
    old = now_ms() - 5_001
    for op in (Op.GET_STATUS, Op.HEALTH, Op.CLOSE, Op.OPEN, Op.CHECK):
        body = {
            Op.GET_STATUS: GetStatus(rid=secrets.token_hex(16), client_order_id=""),
            Op.HEALTH: Hello(client="raw", version="1", sent=old),
            Op.CLOSE: close_body(1),
        }.get(op, open_body())
        answer = trader.do(op, body, iat=old)
        assert (answer.status, answer.code) == ("DENIED", "EXPIRED"), op
    early = now_ms() + CLOCK_SKEW_MS_MAX + 500
    assert trader.do(Op.OPEN, open_body(), iat=early).code == "NOT_YET_VALID"
    assert trader.do(Op.OPEN, open_body(), ttl=10_000).code == "TTL_TOO_LONG"
    # HELLO and PING are bound to their request id: a clock that is wrong must be able to ask.
    hello = Hello(client="raw", version="1", sent=old)
    assert trader.do(Op.PING, hello, iat=old).status == "OK"
    assert running.scripted.ledger == []


# --- FENCE -------------------------------------------------------------------------------------


def _fence(client: RawClient, frames: Frames) -> Answer:
    parts = frames.token.decode().split(":")
    return client.fence(parts[5], parts[8], int(parts[6]))


def test_a_fence_before_its_order_keeps_the_late_copy_from_running(
    running: Running, trader: RawClient
) -> None:
    frames = trader.sign(Op.OPEN, open_body())
    fenced = _fence(trader, frames)
    assert (fenced.status, fenced.subject().status) == ("OK", "DENIED")
    assert (fenced.subject().code, fenced.subject().final) == ("FENCED", True)
    late = trader.ask(frames)
    assert (late.status, late.code) == ("DENIED", "FENCED")
    assert running.scripted.ledger == []
    assert _fence(trader, frames).subject().status == "DENIED"


def test_a_fence_outlives_a_restart(account: Account) -> None:
    with Running(account) as server:
        client = server.ready()
        frames = client.sign(Op.OPEN, open_body())
        _fence(client, frames)
    with Running(account) as server:
        answer = server.ready().ask(frames)
        assert (answer.status, answer.code) == ("DENIED", "FENCED")
        assert server.scripted.ledger == []


def test_a_fence_of_a_queued_order_ends_it_and_of_a_running_one_says_too_late(
    running: Running, trader: RawClient
) -> None:
    hang = running.scripted.hang()
    at_broker, queued = (trader.sign(Op.OPEN, open_body()) for _ in range(2))
    trader.send(at_broker)
    trader.send(queued)
    hang.wait_entered()
    other = running.client()
    assert _fence(other, queued).subject().code == "FENCED"
    late = _fence(other, at_broker).subject()
    assert not late.final
    assert late.status in ("PENDING", "UNKNOWN")
    hang.release()
    wait_until(lambda: _fence(other, at_broker).subject().status == "FILLED")
    assert len(running.scripted.ledger) == 1


def test_a_fence_racing_its_order_leaves_one_truth(running: Running) -> None:
    sender, fencer = running.ready(), running.client()
    seen: set[str] = set()
    for turn in range(60):
        frames = sender.sign(Op.OPEN, open_body())
        rid = frames.token.split(b":")[5].decode()
        race = (partial(sender.ask, frames), partial(_fence, fencer, frames))
        _race(*(race if turn % 2 else race[::-1]))
        final = _fence(fencer, frames).subject()
        assert final.final
        seen.add(final.status)
        assert running.scripted.begun(rid) == (1 if final.status == "FILLED" else 0)
        assert final.status in ("FILLED", "DENIED")
        assert sender.ask(frames).status == final.status
    assert seen  # either is right; which of them came up is the scheduler's affair


def test_a_fence_of_an_earlier_run_waits_for_the_brokers_records(account: Account) -> None:
    broker = ScriptedBackend()
    broker.settle_ms = 300
    with Running(account, broker) as server:
        client = server.ready()
        rid, inc, iat = secrets.token_hex(16), "ab" * 8, now_ms() - 600_000
        first = client.fence(rid, inc, iat)
        assert (first.status, first.subject().status) == ("OK", "UNKNOWN")
        assert client.open().code == "UNKNOWN_ORDER_OPEN"
        wait_until(lambda: client.status(rid=rid).subject().final)
        order = client.status(rid=rid).subject()
        assert (order.status, order.code, order.evidence) == ("DENIED", "FENCED", "ABSENT")
        assert min(broker.scans) < iat
        # A hand-made trade has no tag: it is nobody's ghost.
        broker.put_position(magic=0)
        time.sleep(0.1)
        assert client.hello().state == "ACTIVE"


def test_an_order_of_a_lost_journal_that_has_ended_long_since_is_found_by_its_fence(
    account: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client = server.ready()
        frames = client.sign(Op.OPEN, open_body())
        client.close_position(client.ask(frames).order().ticket)
    shutil.rmtree(account.state)
    broker.deals = [(at_ms - 600_000, deal) for at_ms, deal in broker.deals]
    with Running(account, broker) as server:
        client = server.ready()
        parts = frames.token.decode().split(":")
        client.fence(parts[5], parts[8], int(parts[6]) - 600_000)
        wait_until(lambda: client.status(rid=parts[5]).subject().final)
        assert client.status(rid=parts[5]).subject().status == "FILLED"


def test_a_rejection_and_a_loss_are_remembered_like_a_fill(
    running: Running, trader: RawClient
) -> None:
    running.scripted.plan += [rejects(ReasonCode.NO_MONEY), loses(executed=True)]
    rejected = trader.sign(Op.OPEN, open_body())
    first = trader.ask(rejected)
    assert (first.status, first.code) == ("REJECTED", "NO_MONEY")
    assert trader.ask(rejected).frames == first.frames
    lost = trader.sign(Op.OPEN, open_body())
    assert trader.ask(lost).status == "UNKNOWN"
    wait_until(lambda: trader.ask(lost).status == "FILLED")
    assert trader.ask(lost).frames == trader.ask(lost).frames
    assert len(running.scripted.ledger) == 2

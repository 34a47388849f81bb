"""The tests that at least one peer fails, as far as they are the server's affair."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bridge_core.protocol.messages import encode_body
from bridge_core.protocol.operations import Op
from tests.support.listener import Listener
from tests.support.raw_client import Answer, RawClient, now_ms, open_body
from tests.support.running import Account, Running, make_account, wait_until
from tests.support.scripted_backend import answers, loses, rejects


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(make_account(tmp_path_factory.mktemp("peers"))) as server:
        yield server


@pytest.fixture(scope="module")
def client(shared: Running) -> RawClient:
    return shared.ready()


def test_slow_broker_and_retry_make_exactly_one_order(running: Running, trader: RawClient) -> None:
    hang = running.scripted.hang()
    frames = trader.sign(Op.OPEN, open_body())
    trader.send(frames)
    hang.wait_entered()
    others = [running.client() for _ in range(3)]
    for other in others:
        assert other.ask(frames).status == "PENDING"
    hang.release()
    (first,) = trader.answers([frames])
    assert [other.ask(frames).frames for other in others] == [first.frames] * 3
    assert len(running.scripted.ledger) == 1


def test_three_concurrent_calls_under_one_key_make_exactly_one_order(running: Running) -> None:
    clients = [running.ready(), running.client(), running.client()]
    results: list[Answer] = []
    calls = [
        threading.Thread(target=lambda c=c: results.append(c.open(client_order_id="one")))
        for c in clients
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join(5)
    assert sorted(one.status for one in results) == ["DENIED", "DENIED", "FILLED"]
    holders = [one.order().existing for one in results]
    rids = {holder.rid for holder in holders if holder is not None}
    assert rids == {one.token.rid for one in results if one.status == "FILLED"}
    assert len(running.scripted.ledger) == 1


def test_after_a_timeout_the_next_call_works(running: Running, trader: RawClient) -> None:
    hang = running.scripted.hang()
    late = trader.sign(Op.OPEN, open_body())
    with pytest.raises(TimeoutError):
        trader.ask(late, timeout_ms=100)
    assert trader.ping().status == "OK"
    hang.release()
    rid = late.token.split(b":")[5].decode()
    wait_until(lambda: trader.status(rid=rid).subject().status == "FILLED")
    assert trader.open().status == "FILLED"


def test_many_threads_and_one_server_get_no_protocol_error(running: Running) -> None:
    clients = [running.ready(), *(running.client() for _ in range(7))]
    failures: list[BaseException] = []

    def ask(client: RawClient) -> None:
        try:
            for _ in range(8):
                ticket = client.opened()
                assert client.ping().status == "OK"
                assert client.close_position(ticket).status == "FILLED"
        except BaseException as error:  # noqa: BLE001  told to the main thread
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert running.scripted.positions == {}
    assert len(running.scripted.ledger) == 2 * 8 * 8


def test_the_reply_to_a_is_never_given_for_b(running: Running, trader: RawClient) -> None:
    hang = running.scripted.hang()
    a, b = (trader.sign(Op.OPEN, open_body()) for _ in range(2))
    trader.send(a)
    hang.wait_entered()
    trader.send(b)
    ping = trader.ping()  # overtakes both
    assert ping.status == "OK"
    hang.release()
    # Bound by rid and by the request's hash.
    for frames, answer in zip((a, b), trader.answers((a, b)), strict=True):
        assert answer.order().rid == frames.token.split(b":")[5].decode()


def test_what_is_not_done_is_never_reported_as_success(running: Running, trader: RawClient) -> None:
    for step in (rejects(), loses(executed=False), answers(10008), answers(None)):
        running.scripted.plan.append(step)
        answer = trader.open()
        assert answer.status in ("REJECTED", "UNKNOWN")
        wait_until(lambda: trader.hello().causes == [])
        assert trader.status(rid=answer.token.rid).subject().status in ("REJECTED", "DENIED")


@pytest.mark.parametrize(
    ("type_", "price"),
    [
        ("BUY", "0"), ("SELL", "0"), ("BUY_LIMIT", "1.09000"), ("SELL_LIMIT", "1.11000"),
        ("BUY_STOP", "1.11000"), ("SELL_STOP", "1.09000"),
    ],
)  # fmt: skip
def test_a_sell_stays_a_sell_and_a_stop_stays_a_stop(
    shared: Running, client: RawClient, type_: str, price: str
) -> None:
    order = client.open(type=type_, price=price).order()
    backend = shared.scripted
    held = (backend.orders if "_" in type_ else backend.positions)[order.ticket]
    assert (held.type, order.type) == (type_, type_)
    assert order.status == ("WORKING" if "_" in type_ else "FILLED")


@pytest.mark.parametrize(
    "volume",
    ["NaN", "inf", "-0.01", "0", "0.0", "0.001", "0.015", "1e1", "true", "+1", "01", ".5", "1.",
     "0x10", "1_0", "9999999999"],
)  # fmt: skip
def test_a_volume_that_is_none_is_refused_and_never_mended(
    shared: Running, client: RawClient, volume: str
) -> None:
    raw = encode_body(open_body()).replace(b'"volume":"0.01"', f'"volume":"{volume}"'.encode())
    answer = client.do(Op.OPEN, raw)
    assert (answer.status, answer.code in ("BODY", "VOLUME_GRID")) == ("DENIED", True)
    assert shared.scripted.begun(answer.token.rid) == 0


@pytest.mark.parametrize("text", ["a|b", 'a"b', "a\nb", "a\\b", "\u00e9", "a\x00b", "a;b", "a,b"])
@pytest.mark.parametrize("field", ["comment", "symbol"])
def test_delimiters_and_odd_letters_are_data_or_refused(
    shared: Running, client: RawClient, field: str, text: str
) -> None:
    plain = open_body(comment="PLAIN")
    old = {"comment": b"PLAIN", "symbol": b"EURUSD"}[field]
    answer = client.do(Op.OPEN, encode_body(plain).replace(old, text.encode("utf-8")))
    if answer.status == "FILLED":
        assert field == "comment"
        held = shared.scripted.positions[answer.order().ticket]
        assert held.comment.endswith(text)
        assert answer.order().comment == text
    else:
        assert answer.code in ("BODY", "SYMBOL_NOT_ALLOWED")
        assert shared.scripted.begun(answer.token.rid) == 0


def test_an_old_timestamp_a_repeated_nonce_a_wrong_key_and_a_cut_signature_run_nothing(
    running: Running, trader: RawClient
) -> None:
    frames = trader.sign(Op.OPEN, open_body())
    assert trader.do(Op.OPEN, open_body(), iat=now_ms() - 60_000).code == "EXPIRED"
    assert trader.silent(frames._replace(token=frames.token[:-1]), 60)
    assert trader.silent(frames._replace(token=frames.token[:-64] + b"0" * 64), 60)
    assert trader.ask(frames).status == "FILLED"  # the genuine one, end to end
    assert trader.ask(frames).status == "FILLED"
    assert len(running.scripted.ledger) == 1


def test_a_close_is_allowed_while_killed_and_an_open_is_not(
    running: Running, trader: RawClient
) -> None:
    ticket = trader.opened()
    trader.stop(Op.HALT)
    assert trader.open().code == "HALTED"
    assert trader.close_position(ticket).status == "FILLED"


def test_two_subscribers_both_get_every_event(
    running: Running, trader: RawClient, account: Account
) -> None:
    with Listener(account) as one, Listener(account, who="query") as two:
        one.wait_for("heartbeat")
        two.wait_for("heartbeat")
        rids = [trader.open().token.rid for _ in range(20)]
        for ear in (one, two):
            assert [ear.wait_for("order_final").body.rid for _ in rids] == rids

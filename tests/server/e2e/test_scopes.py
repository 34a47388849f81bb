"""Every operation under every scope: exactly what the table grants (protocol.md 4.3, attacks L)."""

from __future__ import annotations

import secrets

import msgspec
import pytest

from bridge_core.protocol.messages import (
    Cancel,
    Fence,
    Flatten,
    GetRange,
    GetStatus,
    Heartbeat,
    Hello,
    Modify,
    Query,
    Request,
    Resume,
    Settle,
    Stop,
)
from bridge_core.protocol.operations import OPERATIONS, Op, Scope, granted
from tests.support.raw_client import RawClient, close_body, now_ms, open_body
from tests.support.running import Account, Running


def _body(op: Op, inc: str) -> Request:
    rid = secrets.token_hex(16)
    some: dict[type[Request], Request] = {
        Hello: Hello(client="raw", version="1", sent=now_ms()),
        Query: msgspec.convert(
            {"symbol": "", "from": 0, "to": 0, "first": 0, "count": 0}, Query
        ),
        GetStatus: GetStatus(rid=rid, client_order_id=""),
        GetRange: GetRange(since=0, first=0, count=1),
        Fence: Fence(rid=rid, inc=inc, iat=now_ms(), symbol="EURUSD"),
        Stop: Stop(reason="matrix"),
        Heartbeat: Heartbeat(sequence=1),
        Resume: Resume(cause="OPERATOR", reason="matrix"),
        Settle: Settle(rid=rid, status="DENIED", ticket=0, reason="matrix"),
        Modify: Modify(
            client_order_id=rid, client="raw", ticket=1, price="0", sl="0", tp="0", old_sl="0",
            old_tp="0", expiration=0,
        ),
        Cancel: Cancel(client_order_id=rid, client="raw", ticket=1),
        Flatten: Flatten(
            client_order_id=rid, client="raw", scope="ALL", symbol="", reason="matrix"
        ),
        type(open_body()): open_body(),
        type(close_body(1)): close_body(1),
    }  # fmt: skip
    return some[OPERATIONS[op].body]


_WHO = {
    Scope.QUERY: "query", Scope.REDUCE: "reduce", Scope.TRADE: "trade", Scope.OPERATOR: "operator",
}  # fmt: skip


@pytest.mark.parametrize("scope", list(Scope))
def test_each_scope_may_ask_exactly_what_the_table_grants(account: Account, scope: Scope) -> None:
    with Running(account) as server:
        client = server.ready(_WHO[scope])
        for op in Op:
            frames = client.sign(op, _body(op, client.inc))
            if op in granted(scope):
                answer = client.ask(frames)
                assert answer.code != "SCOPE", op
            elif OPERATIONS[op].purpose in client.keys.keys:
                answer = client.ask(frames)
                assert (answer.status, answer.code) == ("DENIED", "SCOPE"), op
            else:
                assert client.silent(frames, 30), op  # it holds no key to ask with
        if scope is not Scope.TRADE:
            assert server.scripted.ledger == []


def test_an_order_denied_for_its_scope_is_denied_again_and_the_server_lives(
    running: Running, trader: RawClient
) -> None:
    with running.account.client("reduce") as reducer:
        frames = reducer.sign(Op.OPEN, open_body())
        first = reducer.ask(frames)
        again = reducer.ask(frames)
        assert (first.status, first.code) == ("DENIED", "SCOPE")
        assert again.frames == first.frames
    assert trader.ping().status == "OK"


def test_a_lesser_key_cannot_disturb_the_row_of_a_request_id_it_knows(
    running: Running, trader: RawClient
) -> None:
    mine = trader.ask(trader.sign(Op.OPEN, open_body()))
    with running.account.client("reduce") as reducer:
        answer = reducer.ask(reducer.sign(Op.OPEN, open_body(), rid=mine.token.rid))
        assert answer.status == "DENIED"
    assert trader.status(rid=mine.token.rid).subject().status == "FILLED"

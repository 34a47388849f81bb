"""The session accepts exactly the reply to its own request, and learns only from that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_client.journal import Row
from bridge_client.life import Do
from bridge_client.link import Link
from bridge_client.recall import resumed
from bridge_client.session import Exchange, Identity, Session
from bridge_client.witness import Now
from bridge_core.protocol import messages as m
from bridge_core.protocol.errors import LocalProtocolError, RemoteProtocolError
from bridge_core.protocol.keys import KeySet, Mode, derive_set, purposes
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose, Scope, granted
from bridge_core.protocol.replies import (
    HelloReply,
    OrderView,
    StateReply,
    StatusReply,
    encode_reply,
)
from bridge_core.protocol.signing import Frames, sign_reply
from bridge_core.protocol.token import NO_INCARNATION, ReplyToken
from bridge_core.protocol.views import AccountIdentity

ROOT = bytes(range(32))
WALL, INC = 1_700_000_000_000, "b" * 16
NOW = Now(WALL, 1_000)
HELLO = m.Hello(client="atlas", version="1", sent=WALL)


def keys(scope: Scope = Scope.TRADE, *, ea: bool = False, root: bytes = ROOT) -> KeySet:
    base = KeySet(kid="c1", acct="demo", mode=Mode.PAPER, scope=scope, keys={})
    return derive_set(root, base, purposes(scope, ea=ea))


def session(scope: Scope = Scope.TRADE, *, ea: bool = False) -> Session:
    return Session(Identity(keys=keys(scope, ea=ea), ea=ea))


def reply(to: Exchange, body: bytes = b"{}", root: bytes = ROOT, **change: object) -> Frames:
    parts = ReplyToken(
        kid="c1", acct="demo", rid=to.rid, time=WALL + 5, status="OK", code="-",
        req_hash=to.req_hash, inc=INC, log_size=3, log_head="d" * 64,
    )._replace(**change)  # type: ignore[arg-type]  # fmt: skip
    return sign_reply(parts, body, keys(root=root).keys[Purpose.REPLY_SRV])


def ping(one: Session, rid: str = "a" * 32) -> Exchange:
    return one.sign(Op.PING, HELLO, rid, NOW)


def test_the_reply_to_our_request_is_accepted() -> None:
    one = session()
    exchange = ping(one)
    answer = one.accept(reply(exchange), exchange, Now(WALL + 10, 1_010))
    assert answer is not None
    assert answer.inc == INC
    assert one.stale  # another run than the one HELLO was said to


@pytest.mark.parametrize(
    "change",
    [{"kid": "c2"}, {"acct": "other"}, {"rid": "f" * 32}, {"req_hash": "e" * 64}],
)
def test_a_reply_about_anything_else_is_as_if_nothing_had_arrived(change: dict[str, Any]) -> None:
    one = session()
    exchange = ping(one)
    assert one.accept(reply(exchange, **change), exchange, NOW) is None
    assert one.witness.top.size == 0
    assert one.clock.offset(NOW) is None


@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans())
def test_one_changed_byte_anywhere_makes_it_nothing(at: int, value: int, in_body: bool) -> None:
    one = session()
    exchange = ping(one)
    good = reply(exchange, b'{"state":"ACTIVE"}')
    raw = bytearray(good.body if in_body else good.token)
    at %= len(raw)
    if raw[at] == value:
        return
    raw[at] = value
    bad = Frames(good.token, bytes(raw)) if in_body else Frames(bytes(raw), good.body)
    assert one.accept(bad, exchange, NOW) is None


@given(st.binary(max_size=600), st.binary(max_size=50))
def test_garbage_is_nothing(token: bytes, body: bytes) -> None:
    one = session()
    assert one.accept(Frames(token, body), ping(one), NOW) is None


def test_the_reply_to_a_is_never_the_reply_to_b_and_a_reflection_is_no_reply() -> None:
    one = session()
    first, second = ping(one), ping(one, "c" * 32)
    assert one.accept(reply(first), second, NOW) is None
    assert one.accept(first.frames, first, NOW) is None
    stranger = bytes(reversed(range(32)))
    assert one.accept(reply(first, root=stranger), first, NOW) is None


def _hello(**change: object) -> bytes:
    body = {
        "incarnation": INC, "time": WALL + 4, "mode": "paper", "state": "ACTIVE",
        "account": AccountIdentity(
            login=1, server="s", kind="paper", currency="USD", margin_mode="hedging"
        ),
        "protocols": [5],
    } | change  # fmt: skip
    return encode_reply(HelloReply(**body))  # type: ignore[arg-type]


def _greet(one: Session, body: bytes, inc: str = INC) -> None:
    exchange = one.sign(Op.HELLO, HELLO, "a" * 32, NOW)
    assert exchange.token.inc == NO_INCARNATION
    answer = one.accept(reply(exchange, body, inc=inc), exchange, Now(WALL + 10, 1_010))
    assert answer is not None
    one.greeted(answer, exchange, Now(WALL + 10, 1_010))


def test_hello_teaches_the_incarnation_the_offset_and_the_head() -> None:
    one = session()
    _greet(one, _hello())
    assert (one.inc, one.stale, one.witness.top.size) == (INC, False, 3)
    offset = one.clock.offset(NOW)
    assert offset is not None
    assert abs(offset.offset_ms) <= offset.uncertainty_ms + 1


@pytest.mark.parametrize(
    "change", [{"mode": "live"}, {"incarnation": "c" * 16}, {"protocols": [4]}]
)
def test_a_hello_that_contradicts_itself_or_serves_another_mode_is_refused(
    change: dict[str, object],
) -> None:
    with pytest.raises(RemoteProtocolError):
        _greet(session(), _hello(**change))


@pytest.mark.parametrize("scope", list(Scope))
def test_a_scope_signs_what_it_holds_a_key_for_and_nothing_else(scope: Scope) -> None:
    one = session(scope)
    for op in Op:
        assert one.may(op) is (op in granted(scope))
        if op not in granted(scope):
            with pytest.raises(LocalProtocolError, match="SCOPE"):
                one.sign(op, _body(op), "a" * 32, NOW)
        else:
            one.sign(op, _body(op), "a" * 32, NOW)


def _body(op: Op) -> m.Request:
    made: dict[type[m.Request], m.Request] = {
        m.Hello: HELLO,
        m.Query: m.Query(symbol="", since=0, until=0, first=0, count=0),
        m.GetStatus: m.GetStatus(rid="a" * 32, client_order_id=""),
        m.GetRange: m.GetRange(since=0, first=1, count=0),
        m.Open: m.Open(
            client_order_id="x", client="c", symbol="EURUSD", type="BUY", volume="0.1", price="0",
            sl="0", tp="0", deviation=1, expiration=0, stops_fail="KEEP", strategy=0, comment="",
        ),
        m.Close: m.Close(
            client_order_id="x", client="c", ticket=1, symbol="EURUSD", volume="0", deviation=1
        ),
        m.Modify: m.Modify(
            client_order_id="x", client="c", ticket=1, price="0", sl="0", tp="0", old_sl="0",
            old_tp="0", expiration=0,
        ),
        m.Cancel: m.Cancel(client_order_id="x", client="c", ticket=1),
        m.Flatten: m.Flatten(
            client_order_id="x", client="c", scope="ALL", symbol="", reason="r"
        ),
        m.Fence: m.Fence(rid="a" * 32, inc=INC, iat=WALL, symbol=""),
        m.Stop: m.Stop(reason="r"),
        m.Heartbeat: m.Heartbeat(sequence=1),
        m.Resume: m.Resume(cause="OPERATOR", reason="r"),
        m.Settle: m.Settle(rid="a" * 32, status="DENIED", ticket=0, reason="r"),
    }  # fmt: skip
    return made[OPERATIONS[op].body]


def test_on_ea_accounts_orders_carry_the_eas_mac_and_questions_do_not() -> None:
    one = session(ea=True)
    assert one.sign(Op.OPEN, _body(Op.OPEN), "a" * 32, NOW).token.mac_ea != "-"
    assert one.sign(Op.PING, HELLO, "a" * 32, NOW).token.mac_ea == "-"
    assert session().sign(Op.OPEN, _body(Op.OPEN), "a" * 32, NOW).token.mac_ea == "-"


def test_a_get_status_about_another_order_says_nothing_about_this_one() -> None:
    one = session()
    order = one.sign(Op.OPEN, _body(Op.OPEN), "c" * 32, NOW)
    question = one.sign(Op.GET_STATUS, m.GetStatus(rid="c" * 32, client_order_id=""), "a" * 32, NOW)
    for rid, found in (("c" * 32, True), ("e" * 32, False)):
        body = encode_reply(StatusReply(order=OrderView(rid=rid, status="FILLED", final=True)))
        answer = one.accept(reply(question, body), question, NOW)
        assert answer is not None
        assert (one.subject_view(answer, order) is not None) is found
    refused = reply(question, encode_reply(StateReply()), status="DENIED", code="RATE")
    answer = one.accept(refused, question, NOW)
    assert answer is not None
    assert one.subject_view(answer, order) is None


@pytest.mark.parametrize(
    ("op", "evidence", "record", "told"),
    [
        (Op.MODIFY, "ABSENT", "forked", ("UNKNOWN", "LOG_FORK")),
        (Op.CANCEL, "ABSENT", "forked", ("UNKNOWN", "LOG_FORK")),
        (Op.FLATTEN, "ABSENT", "forked", ("UNKNOWN", "LOG_FORK")),
        (Op.MODIFY, "ABSENT", "not looked at", ("UNKNOWN", "RECONCILING")),
        (Op.MODIFY, "ABSENT", "proven", ("DENIED", "FENCED")),
        (Op.MODIFY, "SERVER", "forked", ("DENIED", "FENCED")),
        (Op.OPEN, "ABSENT", "forked", ("DENIED", "FENCED")),  # its tag was looked for
    ],
)
def test_a_record_set_back_denies_nothing_that_leaves_no_tag_at_the_broker(
    op: Op, evidence: str, record: str, told: tuple[str, str]
) -> None:
    one = session()
    one.fork_latched = record == "forked"
    one.proven_inc = INC if record == "proven" else ""
    order = one.sign(op, _body(op), "c" * 32, NOW)
    question = one.sign(Op.GET_STATUS, m.GetStatus(rid="c" * 32, client_order_id=""), "a" * 32, NOW)
    said = OrderView(
        rid="c" * 32, op="OPEN", status="DENIED", code="FENCED", evidence=evidence, final=True
    )
    answer = one.accept(reply(question, encode_reply(StatusReply(order=said))), question, NOW)
    assert answer is not None
    view = one.subject_view(answer, order)
    assert view is not None
    assert (view.status, view.code) == told
    assert view.final is (told[0] == "DENIED")
    # Nor does the stored reply that a late copy of the order itself gets.
    raw = reply(order, encode_reply(said), status="DENIED", code="FENCED")
    late = one.accept(raw, order, NOW)
    assert late is not None
    own = one.order_view(late, order)
    assert (own.status, own.code, own.final) == (*told, told[0] == "DENIED")


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_resumed_order_expires_by_this_machines_clock_wherever_the_servers_stands(
    hours: int,
) -> None:
    one = session()
    exchange = one.sign(Op.CLOSE, _body(Op.CLOSE), "c" * 32, NOW, WALL + hours * 3_600_000)
    row = Row(
        rid=exchange.rid, client_order_id="x", op="CLOSE", symbol="EURUSD", ticket=1, fields="",
        frames=exchange.frames, inc=INC, iat=exchange.token.iat,
        deadline_ms=exchange.token.deadline_ms, sent_ms=WALL, view=OrderView(rid=exchange.rid),
    )  # fmt: skip
    for after_ms, do in ((exchange.token.ttl - 1, Do.ASK), (exchange.token.ttl, Do.FENCE)):
        now = Now(WALL + after_ms, 1_000 + after_ms)
        order = resumed(row, cast(Link, SimpleNamespace(clocks=lambda now=now: now)))
        assert order.life is not None
        order.life.never_seen()
        assert order.life.next(now).do is do

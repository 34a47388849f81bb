"""Before anything is remembered or parsed: who asks, and may it?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.keys import KeySet, KeyState
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose, Scope, granted
from bridge_core.protocol.signing import Frames, RequestKeys, sign_request
from bridge_server.core.gate import Admitted, Drop, authenticate, in_scope, judge
from tests.support.admission import (
    SHOT,
    STOPS,
)
from tests.support.builders import (
    ACCT,
    CURVE,
    KID,
    NOW,
    admit,
    conditions,
    key_set,
    open_order,
    sign,
    token,
)
from tests.vectors.examples import BODIES

_C = ReasonCode
_WHO = CURVE.encode("ascii")


def _enter(frames: Frames, **over: Any) -> Admitted | Drop:
    keys = over.get("keys", key_set())
    sets: Mapping[str, KeySet] = over.get("sets", {keys.kid: keys})
    return authenticate(
        frames, over.get("user", _WHO), sets, over.get("acct", ACCT), over.get("now", NOW)
    )


# --- who asks --------------------------------------------------------------------------------


def test_an_authentic_request_carries_its_parts_and_exactly_its_bytes() -> None:
    keys, body = key_set(), open_order()
    frames = sign(Op.OPEN, body, keys)
    request = _enter(frames)
    assert isinstance(request, Admitted)
    assert (request.op, request.spec, request.key_set) == (Op.OPEN, OPERATIONS[Op.OPEN], keys)
    assert (request.frames, request.body) == (frames, frames.body)


@pytest.mark.parametrize("op", list(Op))
def test_every_operation_gets_through_under_a_scope_that_may_ask_it(op: Op) -> None:
    scope = Scope.OPERATOR if op in (Op.RESUME, Op.SETTLE) else Scope.TRADE
    request = admit(op, None, key_set(scope))
    assert in_scope(request, attests=False) is None
    assert not isinstance(judge(request, conditions(SHOT)), Refusal)


@given(st.data())
def test_no_single_flipped_bit_gets_through(data: st.DataObject) -> None:
    frames = sign(Op.OPEN, open_order(), key_set())
    which = data.draw(st.sampled_from(["token", "body"]))
    raw = bytearray(getattr(frames, which))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert isinstance(_enter(frames._replace(**{which: bytes(raw)})), Drop)


@given(st.data())
def test_no_single_replaced_byte_of_the_token_gets_through(data: st.DataObject) -> None:
    frames = sign(Op.OPEN, open_order(), key_set())
    raw = bytearray(frames.token)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255).filter(lambda value: value != raw[at]))
    assert isinstance(_enter(frames._replace(token=bytes(raw))), Drop)


@pytest.mark.parametrize(
    "text",
    [b"", b"RISK_PASS:7a3f9e8b:2026-01-15T02:08:33Z", b"RISK_ACK:5:x", b"\xff" * 600],
    ids=["empty", "version 4", "a reply", "too long"],
)
def test_what_is_no_request_token_is_dropped(text: bytes) -> None:
    assert _enter(Frames(text, b"{}")) is Drop.TOKEN


@pytest.mark.parametrize("ttl", [0, 199, 10_001, 99_999])
def test_a_ttl_outside_the_grammar_is_no_token(ttl: int) -> None:
    assert _enter(sign(Op.OPEN, open_order(), key_set(), ttl=ttl)) is Drop.TOKEN


@pytest.mark.parametrize("op", ["ORDER", "__INIT__", "_PRIVATE", "OPENX"])
def test_an_operation_that_does_not_exist_is_dropped(op: str) -> None:
    assert _enter(sign(Op.OPEN, open_order(), key_set(), op=op)) is Drop.TOKEN


def test_an_operation_under_the_other_prefix_is_dropped() -> None:
    assert _enter(sign(Op.OPEN, open_order(), key_set(), prefix="AUTH_PASS")) is Drop.TOKEN
    assert _enter(sign(Op.HALT, BODIES[Op.HALT], key_set(), prefix="RISK_PASS")) is Drop.TOKEN


def test_a_body_past_its_bound_is_dropped_even_with_a_true_mac() -> None:
    keys = key_set()
    most = sign(Op.OPEN, b"x" * limits.BODY_BYTES_MAX, keys)
    more = sign(Op.OPEN, b"x" * (limits.BODY_BYTES_MAX + 1), keys)
    assert isinstance(_enter(most), Admitted)
    assert _enter(more) is Drop.TOKEN


def test_an_unknown_key_id_is_dropped() -> None:
    assert _enter(sign(Op.OPEN, open_order(), key_set()), sets={}) is Drop.KEY


def test_a_revoked_key_is_dropped() -> None:
    keys = key_set(state=KeyState.REVOKED, not_after_ms=NOW + 1)
    assert _enter(sign(Op.OPEN, open_order(), keys), keys=keys) is Drop.KEY


@pytest.mark.parametrize("state", [KeyState.ACTIVE, KeyState.RETIRING])
def test_a_key_dies_at_its_date_to_the_millisecond(state: KeyState) -> None:
    keys = key_set(state=state, not_after_ms=NOW)
    frames = sign(Op.OPEN, open_order(), keys)
    assert isinstance(_enter(frames, keys=keys, now=NOW - 1), Admitted)
    assert _enter(frames, keys=keys, now=NOW) is Drop.KEY


def test_a_retiring_key_without_a_date_is_dead() -> None:
    keys = key_set(state=KeyState.RETIRING)
    assert _enter(sign(Op.OPEN, open_order(), keys), keys=keys) is Drop.KEY


def test_a_set_that_has_no_key_for_an_operation_is_dropped() -> None:
    keys = key_set(Scope.QUERY)
    signed = sign_request(token(Op.OPEN), b"{}", RequestKeys(b"k" * 32, Purpose.ORDER_SRV))
    assert _enter(signed, keys=keys) is Drop.KEY


@pytest.mark.parametrize("op", [Op.RESUME, Op.SETTLE])
def test_an_admin_operation_under_a_trade_key_is_dropped(op: Op) -> None:
    keys = key_set()
    given = RequestKeys(keys.keys[Purpose.ORDER_SRV], Purpose.ADMIN_SRV)
    assert _enter(sign_request(token(op), b"{}", given), keys=keys) is Drop.KEY


def test_an_operator_has_no_key_for_orders_and_fences() -> None:
    keys = key_set(Scope.OPERATOR)
    for op in (Op.OPEN, Op.CLOSE, Op.FENCE, Op.HEARTBEAT):
        given = RequestKeys(keys.keys[Purpose.ADMIN_SRV], Purpose.ORDER_SRV)
        signed = sign_request(token(op), b"{}", given)
        assert _enter(signed, keys=keys) is Drop.KEY


def test_an_operator_stops_with_its_own_key() -> None:
    keys = key_set(Scope.OPERATOR)
    for op in STOPS:
        request = _enter(sign(op, BODIES[op], keys), keys=keys)
        assert isinstance(request, Admitted)
        assert in_scope(request, attests=False) is None


def test_a_mac_under_another_root_is_dropped() -> None:
    assert _enter(sign(Op.OPEN, open_order(), key_set(root=2))) is Drop.MAC


def test_a_mac_of_another_purpose_is_dropped() -> None:
    keys = key_set()
    query = RequestKeys(keys.keys[Purpose.QUERY_SRV], Purpose.QUERY_SRV)
    assert _enter(sign_request(token(Op.OPEN), b"{}", query)) is Drop.MAC


def test_a_byte_moved_from_the_token_into_the_body_is_dropped() -> None:
    frames = sign(Op.OPEN, open_order(), key_set())
    assert _enter(Frames(frames.token[:-1], frames.token[-1:] + frames.body)) is Drop.TOKEN
    assert _enter(Frames(frames.token, frames.body + b" ")) is Drop.MAC


def test_another_servers_account_is_dropped() -> None:
    frames = sign(Op.OPEN, open_order(), key_set())
    assert _enter(frames, acct="other") is Drop.ACCOUNT


def test_a_key_of_another_account_is_dropped() -> None:
    keys = key_set(acct="other")
    assert _enter(sign(Op.OPEN, open_order(), keys), keys=keys) is Drop.ACCOUNT


@pytest.mark.parametrize("user", [b"b" * 40, b"", _WHO + b"\n", _WHO.upper()])
def test_a_key_used_from_another_curve_identity_is_dropped(user: bytes) -> None:
    assert _enter(sign(Op.OPEN, open_order(), key_set()), user=user) is Drop.IDENTITY


def test_a_set_without_a_curve_identity_lets_nobody_in() -> None:
    keys = key_set(curve_public="")
    assert _enter(sign(Op.OPEN, open_order(), keys), keys=keys, user=b"") is Drop.IDENTITY


_BAD_SIGN = {"keys": key_set(root=2)}
_DROPS: list[tuple[Drop, dict[str, Any], dict[str, Any]]] = [
    (Drop.TOKEN, {"ttl": 199}, {}),
    (Drop.KEY, {}, {"sets": {KID: key_set(state=KeyState.REVOKED, acct="demo")}}),
    (Drop.MAC, _BAD_SIGN, {}),
    (Drop.ACCOUNT, {"acct": "other"}, {}),
    (Drop.IDENTITY, {}, {"user": b"b" * 40}),
]


_DROP_PAIRS = list(itertools.combinations(_DROPS, 2))


@pytest.mark.parametrize(
    ("first", "second"), _DROP_PAIRS, ids=[f"{one[0]}-{two[0]}" for one, two in _DROP_PAIRS]
)
def test_of_two_reasons_to_drop_the_first_is_counted(first: Any, second: Any) -> None:
    bend = {**second[1], **first[1]}
    keys = bend.pop("keys", key_set())
    frames = sign(Op.OPEN, open_order(), keys, **bend)
    assert _enter(frames, **{**second[2], **first[2]}) is first[0]


# --- may it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("op", list(Op))
def test_each_scope_may_ask_exactly_what_it_was_granted(op: Op, scope: Scope) -> None:
    keys = key_set(scope)
    try:
        frames = sign(op, BODIES[op], keys)
    except KeyError:  # no key to sign it with: nothing could even be sent
        assert op not in granted(scope)
        return
    request = _enter(frames, keys=keys)
    assert isinstance(request, Admitted)
    refusal = in_scope(request, attests=False)
    assert (refusal is None) == (op in granted(scope))
    if refusal is not None:
        assert refusal == Refusal(_C.SCOPE, value=op)


def test_a_reduce_key_may_close_and_not_open() -> None:
    keys = key_set(Scope.REDUCE)
    assert in_scope(admit(Op.CLOSE, None, keys), attests=False) is None
    assert in_scope(admit(Op.OPEN, None, keys), attests=False) == Refusal(_C.SCOPE, value="OPEN")


def test_on_an_account_with_an_ea_an_order_without_mac_ea_is_refused() -> None:
    refusal = in_scope(admit(Op.OPEN), attests=True)
    assert refusal == Refusal(_C.SCOPE, limit="mac-ea", value="absent")


def test_on_an_account_without_an_ea_an_order_with_mac_ea_is_refused() -> None:
    refusal = in_scope(admit(Op.OPEN, ea=True), attests=False)
    assert refusal == Refusal(_C.SCOPE, limit="mac-ea", value="present")


def test_on_an_account_with_an_ea_mac_ea_stands_exactly_where_the_ea_has_a_key() -> None:
    for op in granted(Scope.TRADE):
        assert in_scope(admit(op, ea=True), attests=True) is None
    assert in_scope(admit(Op.SETTLE), attests=True) is None

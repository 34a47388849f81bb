"""Out never exceeds in, whatever the loop believes; and which tickets nobody ordered."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import limits
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Close, Flatten, Request, Resume
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import child_rid, make_tag
from bridge_server.core.counting import (
    COUNTED,
    FLATTEN_KEPT_MS,
    KEPT_MS,
    Orphans,
    Tally,
    explains,
)
from bridge_server.core.orders import OrderState
from bridge_server.core.ports import Submission
from tests.support.builders import (
    ACCT,
    MONO,
    NOW,
    RID,
    cancel_order,
    close_order,
    key_set,
    modify_order,
    open_order,
    sign,
)

_KEYS: Final = key_set()
_OTHER: Final = "1" * 32
_FLATTEN: Final = Flatten(
    client_order_id="f-1", client="atlas", scope="ALL", symbol="", reason="enough"
)
_BODIES: Final[dict[Op, Request]] = {
    Op.OPEN: open_order(), Op.CLOSE: close_order(), Op.MODIFY: modify_order(),
    Op.CANCEL: cancel_order(),
}  # fmt: skip


def _out(
    op: Op, body: Request, rid: str = RID, frames: Frames | None = None, signed: str = RID
) -> Submission:
    return Submission(
        rid=rid, op=op, body=body,
        frames=frames if frames is not None else sign(op, body, _KEYS, rid=signed),
        tag=make_tag(ACCT, rid), magic=1, comment="", deadline=Deadline(NOW, MONO),
    )  # fmt: skip


def _child(ticket: int, parent: str = RID, body: Request | None = None) -> Submission:
    body = body if body is not None else close_order(ticket)
    op = Op.CLOSE if isinstance(body, Close) else Op.CANCEL
    frames = sign(Op.FLATTEN, _FLATTEN, _KEYS, rid=parent)
    return _out(op, body, child_rid(parent, ticket), frames)


def _verified(*rids: str, op: Op = Op.OPEN) -> Tally:
    tally = Tally()
    for rid in rids:
        tally.verify(rid, op, MONO)
    return tally


@pytest.mark.parametrize("op", _BODIES)
def test_a_verified_order_goes_out_once_and_not_twice(op: Op) -> None:
    tally, order = _verified(RID, op=op), _out(op, _BODIES[op])
    assert tally.submit(order, MONO) == ""
    assert "twice" in tally.submit(order, MONO)
    assert (tally.verified, tally.submitted) == (1, 1)


def test_the_servers_own_flatten_goes_out_once_for_each_ticket_it_was_named_with() -> None:
    tally, bare = Tally(), Frames(b"", b"")
    tally.own(RID, [7, 8], MONO)
    tally.own(RID, [9], MONO)  # the first word holds
    for ticket in (7, 8):
        body = close_order(ticket)
        child = _out(Op.CLOSE, body, child_rid(RID, ticket), bare)
        assert tally.submit(child, MONO) == ""
        assert "twice" in tally.submit(child, MONO)
    strange = _out(Op.CLOSE, close_order(9), child_rid(RID, 9), bare)
    assert "nobody has verified" in tally.submit(strange, MONO)
    tally.own(_OTHER, [7], MONO)
    other = _out(Op.CLOSE, close_order(8), child_rid(_OTHER, 7), bare)
    assert "no part" in tally.submit(other, MONO)
    opens = _out(Op.OPEN, open_order(), child_rid(_OTHER, 7), bare)
    assert "no part" in tally.submit(opens, MONO)
    tally.forget(MONO + FLATTEN_KEPT_MS)
    late = _out(Op.CLOSE, close_order(7), child_rid(_OTHER, 7), bare)
    assert "nobody has verified" in tally.submit(late, MONO)


def test_what_nobody_verified_does_not_go_out() -> None:
    tally = _verified(_OTHER)
    assert "nobody has verified" in tally.submit(_out(Op.OPEN, open_order()), MONO)
    torn = _out(Op.OPEN, open_order(), frames=Frames(b"RISK_PASS:5:no token", b"{}"))
    assert "nobody has verified" in tally.submit(torn, MONO)
    assert tally.submitted == 0


def test_an_order_goes_out_only_as_it_was_signed() -> None:
    tally = _verified(RID)
    frames = sign(Op.OPEN, open_order(), _KEYS)
    for altered in (
        _out(Op.OPEN, open_order(volume="0.20"), frames=frames),
        _out(Op.CLOSE, close_order(), frames=frames),
        _out(Op.OPEN, open_order(), rid=_OTHER, frames=frames),  # another id over signed bytes
    ):
        assert "otherwise than signed" in tally.submit(altered, MONO)
    assert tally.submit(_out(Op.OPEN, open_order(), frames=frames), MONO) == ""


def test_a_flatten_lets_one_child_out_for_each_ticket_it_was_fixed_to() -> None:
    tally = _verified(RID, op=Op.FLATTEN)
    assert "no part of its FLATTEN" in tally.submit(_child(11), MONO)  # before they are fixed
    tally.fix(RID, [11, 12])
    tally.fix(RID, [13])  # the first word holds
    for ticket in (11, 12):
        assert tally.submit(_child(ticket), MONO) == ""
        assert "twice" in tally.submit(_child(ticket), MONO)
    assert "no part of its FLATTEN" in tally.submit(_child(13), MONO)
    frames = sign(Op.FLATTEN, _FLATTEN, _KEYS)
    for alien in (
        _out(Op.CLOSE, close_order(11), _OTHER, frames),
        _out(Op.OPEN, open_order(), _OTHER, frames),
    ):
        assert "no part of its FLATTEN" in tally.submit(alien, MONO)
    assert tally.submitted == 2


def test_the_cancel_of_a_fixed_ticket_is_a_child_too() -> None:
    tally = _verified(RID, op=Op.FLATTEN)
    tally.fix(RID, [22])
    assert tally.submit(_child(22, body=cancel_order(22)), MONO) == ""


def test_only_a_verified_flatten_can_be_fixed_to_tickets() -> None:
    tally = _verified(RID)
    tally.fix(RID, [11])
    tally.fix(_OTHER, [11])
    for parent in (RID, _OTHER):
        assert tally.submit(_child(11, parent), MONO) != ""


def test_what_moves_nothing_is_not_counted() -> None:
    tally = Tally()
    for op, body in ((Op.FLATTEN, _FLATTEN), (Op.RESUME, Resume(cause="OPERATOR", reason="x"))):
        order = Submission(
            rid=RID, op=op, body=body, frames=Frames(b"", b""), tag=make_tag(ACCT, RID), magic=0,
            comment="", deadline=Deadline(NOW, MONO),
        )  # fmt: skip
        assert tally.submit(order, MONO) == tally.submit(order, MONO) == ""
    tally.verify(RID, Op.PING, MONO)
    tally.verify(RID, Op.RESUME, MONO)
    assert (tally.verified, tally.submitted) == (0, 0)
    assert {*_BODIES, Op.FLATTEN} == COUNTED


def test_a_copy_counts_once() -> None:
    tally = _verified(RID, RID, _OTHER)
    assert tally.verified == 2


def test_what_an_earlier_run_handed_over_does_not_go_out_again() -> None:
    tally = _verified(RID)
    tally.begun(RID, MONO)
    assert "twice" in tally.submit(_out(Op.OPEN, open_order()), MONO)


def test_what_is_forgotten_may_not_go_out_and_nothing_is_forgotten_that_may() -> None:
    assert KEPT_MS > limits.TTL_MS_MAX + limits.CLOCK_SKEW_MS_MAX + limits.TRADE_CALL_MS_MAX
    assert FLATTEN_KEPT_MS > limits.FLATTEN_WINDOW_MS + limits.TRADE_CALL_MS_MAX
    tally = _verified(RID)
    tally.verify(_OTHER, Op.FLATTEN, MONO)
    tally.fix(_OTHER, [11])
    tally.forget(MONO + KEPT_MS - 1)
    assert len(tally) == 2
    tally.forget(MONO + KEPT_MS)
    assert "nobody has verified" in tally.submit(_out(Op.OPEN, open_order()), MONO)
    last = MONO + FLATTEN_KEPT_MS - 1
    tally.forget(last)
    assert tally.submit(_child(11, _OTHER), last) == ""
    tally.forget(last + 1)
    assert len(tally) == 1  # what went out is remembered from then on
    assert tally.submit(_child(11, _OTHER), last) != ""
    tally.forget(last + FLATTEN_KEPT_MS)
    assert len(tally) == 0


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("verify", "flatten", "fix", "submit", "child")),
        st.integers(0, 3),
        st.integers(11, 13),
    ),
    max_size=40,
)


@given(_STEPS)
def test_whatever_happens_submissions_never_exceed_what_was_verified(
    steps: list[tuple[str, int, int]],
) -> None:
    tally, orders, fixed = Tally(), set[str](), dict[str, frozenset[int]]()
    out: Counter[str] = Counter()
    for what, number, ticket in steps:
        single, whole = f"{number:032x}", f"{number + 16:032x}"
        if what == "verify":
            tally.verify(single, Op.OPEN, MONO)
            orders.add(single)
        elif what == "flatten":
            tally.verify(whole, Op.FLATTEN, MONO)
            fixed.setdefault(whole, frozenset())
        elif what == "fix":
            tally.fix(whole, range(11, ticket + 1))
            if fixed.get(whole) == frozenset():
                fixed[whole] = frozenset(range(11, ticket + 1))
        else:
            order = (
                _out(Op.OPEN, open_order(), single, signed=single)
                if what == "submit" else _child(ticket, whole)
            )  # fmt: skip
            allowed = single in orders if what == "submit" else ticket in fixed.get(whole, ())
            passed = not tally.submit(order, MONO)
            assert passed == (allowed and not out[order.rid])
            out[order.rid] += passed
    assert max(out.values(), default=0) <= 1
    assert tally.submitted == sum(out.values())
    assert tally.submitted <= len(orders) + sum(len(tickets) for tickets in fixed.values())
    assert tally.verified == len(orders) + len(fixed)


# --- tickets -------------------------------------------------------------------------------

_SEEN, _LONG = limits.ORPHAN_SEEN_MS, limits.ORPHAN_UNKNOWN_MS


def test_a_ticket_is_an_orphan_when_it_has_been_seen_long_enough() -> None:
    orphans, shown = Orphans(), {11: "EURUSD"}
    assert orphans.judge(shown, {}, 0) == frozenset()
    assert orphans.judge(shown, {}, _SEEN - 1) == frozenset()
    assert orphans.judge(shown, {}, _SEEN) == {11}
    assert orphans.judge(shown, {}, _SEEN + 1) == {11}


def test_a_ticket_that_was_gone_is_a_new_one_when_it_comes_back() -> None:
    orphans = Orphans()
    orphans.judge({11: "EURUSD"}, {}, 0)
    orphans.judge({}, {}, 1)
    assert orphans.judge({11: "EURUSD"}, {}, _SEEN) == frozenset()
    assert orphans.judge({11: "EURUSD"}, {}, 2 * _SEEN) == {11}


@pytest.mark.parametrize("symbol", ["EURUSD", ""])
def test_an_order_that_was_open_at_first_sight_may_have_made_it(symbol: str) -> None:
    orphans, shown, flying = Orphans(), {11: "EURUSD"}, {RID: symbol}
    orphans.judge(shown, flying, 0)
    assert orphans.judge(shown, flying, _LONG - 1) == frozenset()
    assert orphans.judge(shown, {}, _LONG - 1) == {11}


def test_an_order_that_stays_unknown_does_not_hide_a_ticket_for_ever() -> None:
    orphans, shown, flying = Orphans(), {11: "EURUSD"}, {RID: "EURUSD"}
    orphans.judge(shown, flying, 0)
    assert orphans.judge(shown, flying, _LONG) == {11}


def test_orders_of_another_symbol_or_from_later_hide_nothing() -> None:
    orphans, shown = Orphans(), {11: "EURUSD"}
    orphans.judge(shown, {RID: "USDJPY"}, 0)
    assert orphans.judge(shown, {RID: "USDJPY", _OTHER: "EURUSD"}, _SEEN) == {11}


def test_a_refused_order_explains_no_ticket() -> None:
    assert {state for state in OrderState if not explains(state)} == {
        OrderState.ACCEPTED, OrderState.REJECTED, OrderState.DENIED,
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(1, 4), st.sampled_from(["EURUSD", "USDJPY"])),
            st.dictionaries(st.sampled_from("abc"), st.sampled_from(["EURUSD", "USDJPY", ""])),
            st.integers(0, 5_000),
        ),
        max_size=30,
    )
)
def test_no_ticket_is_an_orphan_before_its_time_and_every_one_is_at_last(
    looks: list[tuple[dict[int, str], dict[str, str], int]],
) -> None:
    orphans, now_ms = Orphans(), 0
    since: dict[int, int] = {}
    for shown, flying, passed_ms in looks:
        now_ms += passed_ms
        since = {ticket: since.get(ticket, now_ms) for ticket in shown}
        found = orphans.judge(shown, flying, now_ms)
        assert found <= shown.keys()
        for ticket, first_ms in since.items():
            if now_ms - first_ms < _SEEN:
                assert ticket not in found
            if now_ms - first_ms >= _LONG:
                assert ticket in found

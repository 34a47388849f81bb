"""Traps that were walked into once: request ids foreseen, orders that ended while unknown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.messages import Flatten
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import child_rid
from bridge_server.core.ports import EndedOrder, Lost, Outcome, Submission
from tests.support.raw_client import now_ms
from tests.support.running import Running, make_account, wait_until
from tests.support.scripted_backend import ScriptedBackend

_PARENT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
_HOUR_MS = 3_600_000


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(make_account(tmp_path)) as server:
        yield server


def test_a_flatten_whose_childs_rid_was_used_up_is_refused_and_the_server_lives(
    running: Running,
) -> None:
    client = running.ready()
    ticket = client.opened()
    taken = child_rid(_PARENT, ticket)  # anybody can compute it
    client.fence(taken, client.inc, now_ms())
    body = Flatten(client_order_id="f-1", client="raw", scope="ALL", symbol="", reason="out")
    refused = client.do(Op.FLATTEN, body, rid=_PARENT)
    assert (refused.status, refused.code) == ("DENIED", "CONFLICT")
    assert running.alive
    again = client.flatten()
    assert again.status == "DONE"
    assert [child.ticket for child in again.order().children] == [ticket]


def test_a_fence_of_an_earlier_run_looks_as_far_back_as_its_order_was_signed(
    running: Running,
) -> None:
    client = running.ready()
    before = len(running.scripted.scans)
    signed = now_ms() - _HOUR_MS
    client.fence(_PARENT, "f" * 16, signed)
    wait_until(lambda: len(running.scripted.scans) > before)
    assert running.scripted.scans[before] <= signed


def _cancelled_at_once(backend: ScriptedBackend, submission: Submission) -> Outcome:
    backend.trade(submission)
    (order,) = backend.orders.values()
    backend.orders = {}
    backend.ended.append(
        EndedOrder(
            ticket=order.ticket, symbol=order.symbol, life="CANCELLED", magic=order.magic,
            comment=order.comment,
        )
    )  # fmt: skip
    return Lost(cause="no answer")


def test_a_pending_order_that_ended_while_unknown_is_not_shown_as_resting(
    running: Running,
) -> None:
    client = running.ready()
    running.scripted.plan.append(_cancelled_at_once)
    lost = client.open(type="BUY_LIMIT", price="1.00000")
    assert lost.status == "UNKNOWN"
    rid = lost.token.rid
    wait_until(lambda: client.status(rid=rid).subject().status == "WORKING")
    wait_until(lambda: client.status(rid=rid).subject().life == "CANCELLED")

"""SIGKILL at every point of an order's life: protocol.md 7's table, checked against the ledger."""

from __future__ import annotations

import signal
from typing import NamedTuple

import pytest

from bridge_core.host.ledger import SignedOrder, judge, read_ledger
from bridge_core.protocol.chain import Head
from bridge_core.protocol.messages import Flatten, Open
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_server.record import verify_file
from tests.support.raw_client import RawClient, open_body
from tests.support.running import Account, Process, wait_until


class Sent(NamedTuple):
    """What was signed before the crash."""

    frames: Frames
    order: SignedOrder

    @property
    def rid(self) -> str:
        return self.frames.token.split(b":")[5].decode()

    @property
    def inc(self) -> str:
        return self.frames.token.split(b":")[8].decode()


def _sign(client: RawClient, body: Open | Flatten) -> Sent:
    op = Op.OPEN if isinstance(body, Open) else Op.FLATTEN
    frames = client.sign(op, body)
    parts = frames.token.split(b":")
    return Sent(frames, SignedOrder(op, int(parts[6]), int(parts[7]), body))


def _begun(account: Account, *sent: Sent) -> int:
    """Return how many submissions the broker began, once every promise of the ledger held."""
    lines = read_ledger(account.state / "ledger.jsonl")
    verdict = judge(lines, {one.rid: one.order for one in sent}, "demo")
    assert verdict.kept, verdict
    return verdict.begun


def _settled(client: RawClient, sent: Sent) -> OrderView:
    wait_until(lambda: client.status(rid=sent.rid).subject().final)
    return client.status(rid=sent.rid).subject()


def _die(account: Account, point: str) -> list[Sent]:
    """Start a server that dies at the point, give it what it takes to get there."""
    with Process(account, point) as doomed:
        client = doomed.ready()
        sent = [_sign(client, open_body(comment="slow"))] if point == "j1" else []
        sent.append(_sign(client, open_body()))
        for one in sent:
            client.send(one.frames)
        wait_until(lambda: doomed.exit_code is not None)
        assert doomed.exit_code == -signal.SIGKILL
        assert client.receive(50) is None
    return sent


# point -> (status, code, evidence, submissions begun)
TABLE = {
    "j1": ("DENIED", "ABORTED_RESTART", "SERVER", 0),
    "j2": ("DENIED", "ABSENT", "ABSENT", 0),
    "call": ("DENIED", "ABSENT", "ABSENT", 0),
    "act": ("DENIED", "ABSENT", "ABSENT", 1),
    "done": ("FILLED", "-", "TAG", 1),
    "answered": ("FILLED", "-", "TAG", 1),
    "j3": ("FILLED", "-", "BROKER", 1),
}


@pytest.mark.parametrize("point", list(TABLE))
def test_a_kill_at_this_point_leaves_one_knowable_outcome_and_at_most_one_submission(
    account: Account, point: str
) -> None:
    sent = _die(account, point)
    status, code, evidence, begun = TABLE[point]
    assert _begun(account, *sent) == begun
    with Process(account) as server:
        client = server.ready()
        order = _settled(client, sent[-1])
        assert (order.status, order.code, order.evidence) == (status, code, evidence)
        if point == "j1":
            assert _settled(client, sent[0]).code == "ABSENT"
        positions = client.query(Op.GET_POSITIONS).positions
        assert len(positions) == (status == "FILLED")
        # A late copy and a FENCE tell the same truth, and neither runs anything.
        again = client.ask(sent[-1].frames)
        assert (again.status, again.code) == (status, code)
        assert client.ask(sent[-1].frames).frames == again.frames
        fenced = client.fence(sent[-1].rid, sent[-1].inc, sent[-1].order.iat)
        assert (fenced.status, fenced.subject().status) == ("OK", status)
        wait_until(lambda: client.hello().causes == [])
        assert _begun(account, *sent) == begun
        if status == "FILLED":
            assert positions[0].rid == order.rid
            assert client.close_position(order.ticket).status == "FILLED"
    assert isinstance(verify_file(account.state / "journal.db"), Head)


@pytest.mark.parametrize("point", ["unknown", "scan", "j3"])
def test_a_kill_during_recovery_changes_nothing_of_the_outcome(
    account: Account, point: str
) -> None:
    sent = _die(account, "done")
    with Process(account, point) as again:
        wait_until(lambda: again.exit_code is not None, 15)
        assert again.exit_code == -signal.SIGKILL
    with Process(account) as server:
        client = server.ready()
        order = _settled(client, sent[0])
        assert (order.status, order.evidence) == ("FILLED", "TAG")
        assert len(client.query(Op.GET_POSITIONS).positions) == 1
        assert _begun(account, *sent) == 1
    assert isinstance(verify_file(account.state / "journal.db"), Head)


def test_a_flatten_killed_between_its_children_goes_on_after_the_restart(
    account: Account,
) -> None:
    with Process(account, "child") as doomed:
        client = doomed.ready()
        sent = [_sign(client, open_body()) for _ in range(3)]
        tickets = {client.ask(one.frames).order().ticket for one in sent}
        body = Flatten(
            client_order_id="flat", client="raw", scope="ALL", symbol="", reason="enough"
        )
        flatten = _sign(client, body)
        client.send(flatten.frames)
        wait_until(lambda: doomed.exit_code is not None)
    assert _begun(account, *sent, flatten) == 4
    with Process(account) as server:
        client = server.client()
        order = _settled(client, flatten)
        assert order.status == "DONE"
        assert {child.ticket for child in order.children} == tickets
        assert {child.status for child in order.children} == {"FILLED"}
        assert client.query(Op.GET_POSITIONS).positions == []
        assert client.ask(flatten.frames).status == "DONE"
        assert _begun(account, *sent, flatten) == 6

"""The server is killed between the firing and the last close: one silence, each ticket once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge_core.host.ledger import read_ledger
from bridge_core.protocol.messages import GetRange, Heartbeat
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import JournalPage, decode_reply
from bridge_server.record import verify_file
from tests.support.running import Process, make_account, wait_until

_POSITIONS = 3
_ALL = GetRange(since=0, first=0, count=0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_between_the_firing_and_the_closes_is_taken_up_exactly_once(
    tmp_path: Path, when: str
) -> None:
    account = make_account(tmp_path, extra='dead_man = { after_s = 5, policy = "flatten" }')
    with Process(account, "tests.support.dying_closer") as first:
        client = first.ready()
        tickets = {client.opened() for _ in range(_POSITIONS)}
        (account.state / "die").write_text(when, "ascii")
        assert client.do(Op.HEARTBEAT, Heartbeat(sequence=1)).status == "OK"
        wait_until(lambda: first.exit_code is not None, 20)
    with Process(account, "tests.support.dying_closer") as second:
        client = second.client()
        wait_until(lambda: client.query(Op.GET_POSITIONS).positions == [], 20)
        found = client.health().dead_man
        assert found is not None
        assert found.state == "fired"
        page = decode_reply(JournalPage, client.do(Op.GET_JOURNAL, _ALL).body)
        first_one, *more = [one for one in page.orders if one.op == "FLATTEN"]
        assert {one.ticket for one in first_one.children} == tickets
        assert client.status(rid=first_one.rid).subject().final
        # The close that the broker never had is proven absent, so another FLATTEN closes it.
        left = {one.ticket for one in more[0].children} if more else set()
        assert (len(more), len(left)) == ((0, 0) if when == "after" else (1, 1))
        second.terminate()
        wait_until(lambda: second.exit_code == 0, 20)
    begun = [
        line.fields["ticket"]
        for line in read_ledger(account.state / "ledger.jsonl")
        if line.phase == "begin" and line.op == "CLOSE"
    ]
    assert sorted(begun) == sorted(tickets), "each ticket was closed once"
    verify_file(account.state / "journal.db")

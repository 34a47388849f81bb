"""A strategy gone mad: throttled, stopped, told, and nothing of it lost."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import parse_reply
from tests.support.listener import Listener
from tests.support.money_backend import MoneyBackend
from tests.support.raw_client import RawClient, open_body
from tests.support.risk_house import limit, wait_cause, wait_known
from tests.support.running import Account, Running
from tests.support.scripted_backend import rejects

Record = Callable[[str, object], None]
_IN_THE_AIR = 40
_REJECTIONS = 5


class _AlwaysRejects(MoneyBackend):
    """A broker that says no to every order."""

    def execute(self, submission: Any) -> Any:
        return rejects()(self, submission)


class _Storm:
    """Orders as fast as a socket takes them; what each was told, by rid."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._sent: dict[str, Frames] = {}
        self.told: dict[str, str] = {}

    def send(self) -> None:
        frames = self._client.sign(Op.OPEN, open_body())
        self._sent[frames.token.split(b":")[5].decode()] = frames
        self._client.send(frames)
        while len(self._sent) - len(self.told) >= _IN_THE_AIR:
            self.take()

    def take(self) -> None:
        reply = self._client.receive(5_000)
        assert reply is not None, "an order got no answer"
        token = parse_reply(reply.token)
        assert token is not None
        self._client.check(self._sent[token.rid], reply)
        self.told[token.rid] = token.code if token.status == "DENIED" else token.status


@pytest.mark.parametrize("orders", [500, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_runaway_strategys_orders_are_throttled_stopped_and_all_on_record(
    account: Account, orders: int, record_property: Record
) -> None:
    limit(account, f"max_rejections = {_REJECTIONS}")
    broker = _AlwaysRejects()
    with Running(account, broker) as server, Listener(account) as listener:
        client = wait_known(server)
        listener.wait_for("heartbeat")
        storm, begun = _Storm(client), time.monotonic()
        for _ in range(orders):
            storm.send()
        while len(storm.told) < orders:
            storm.take()
        took_s = time.monotonic() - begun
        wait_cause(client, "BREAKER")
        codes = Counter(storm.told.values())
        record_property("codes", dict(codes))
        record_property("orders_per_s", round(orders / took_s))
        # Whatever was queued when the fifth rejection came did not begin.
        assert codes["REJECTED"] == len(broker.ledger) == _REJECTIONS
        assert set(codes) == {"REJECTED", "REDUCE_ONLY", "RATE"}
        entries = 100 + 50 * took_s + 50  # two seconds' worth, then the rate
        assert codes["REJECTED"] + codes["REDUCE_ONLY"] <= entries
        alert = listener.wait_for("alert", 10)
        assert alert.body.code == "BREAKER"
        assert client.health().state == "REDUCE_ONLY"
    rows = _rows(account)
    assert len(rows) == orders
    assert rows == storm.told


def _rows(account: Account) -> dict[str, str]:
    with closing(sqlite3.connect(account.state / "journal.db")) as db:
        found = db.execute("SELECT rid, state, json_extract(view, '$.code') FROM orders").fetchall()
    return {rid: code if state == "DENIED" else state for rid, state, code in found}

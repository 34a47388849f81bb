"""A connector that meets its end at a named place (see doom.py), in a process of its own.

Places, about the order `subject`: intent begins, intent commits, intent committed; sending (part
of the message is in ZeroMQ's hands); sent; arrived (its reply is in ZeroMQ's queue); read;
outcome begins, outcome commits, outcome committed; returned (the caller has been told nothing).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import zmq

from bridge_client import Connector, desk, journal, opening, resolver
from bridge_client.journal import ConnectorJournal, Row, Said
from bridge_client.link import Link
from bridge_client.order import Driver, Order
from bridge_client.session import Identity
from bridge_client.transport import Dial, Transport
from bridge_client.witness import Now
from bridge_core.host.sqlite import Connection, transaction
from bridge_core.protocol.chain import Head
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from tests.support.doom import SUBJECT, Doom
from tests.support.zygote import Channel

__all__ = ["run"]

_PATIENCE_S: Final = 20.0


class _Fate:
    """What this one process is about; every hook looks here."""

    doom: Doom
    stage = ""
    awaited = ""


@contextmanager
def _transaction(connection: Connection) -> Iterator[Connection]:
    stage, _Fate.stage = _Fate.stage, ""
    with transaction(connection):
        yield connection
        if stage:
            _Fate.doom.at(f"{stage} commits")
    if stage:
        _Fate.doom.at(f"{stage} committed")


class DoomedJournal(ConnectorJournal):
    """Names the transaction that is about the subject."""

    def intend(self, row: Row, risk: str = "") -> None:
        if row.client_order_id == SUBJECT:
            _Fate.doom.at("intent begins")
            _Fate.stage, _Fate.awaited = "intent", row.rid
        super().intend(row, risk)

    def outcomes(
        self,
        views: Iterable[tuple[OrderView, bool]],
        now_ms: int,
        pair: Head | None = None,
        said: Mapping[str, Said] | None = None,
        risk: str = "",
    ) -> None:
        told = list(views)
        if any(view.rid == _Fate.awaited for view, _ in told):
            _Fate.doom.at("outcome begins")
            _Fate.stage = "outcome"
        super().outcomes(told, now_ms, pair, said, risk)


class DoomedTransport(Transport):
    """Dies while it sends, or with a reply in its queue."""

    def _send(self, frames: Frames) -> bool:
        ours = bool(_Fate.awaited) and f":{_Fate.awaited}:".encode() in frames.token
        if ours and "sending" in _Fate.doom.places:
            self._sock.send(b"", zmq.SNDMORE | zmq.NOBLOCK)
            _Fate.doom.at("sending")
        sent = super()._send(frames)
        if ours:
            _Fate.doom.at("sent")
        return sent

    def _drain(self) -> list[Frames]:
        if _Fate.awaited and int(self._sock.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            _Fate.doom.at("arrived")
        return super()._drain()


class DoomedDriver(Driver):
    """Dies with the reply in its hands."""

    def deliver(self, order: Order, frames: Frames) -> None:
        if order.client_order_id == SUBJECT:
            _Fate.doom.at("read")
        super().deliver(order, frames)


class DoomedConnector(Connector):
    """A connector over the doomed transport."""

    def _open_link(self, identity: Identity, dial: Dial, clocks: Callable[[], Now]) -> Link:
        return Link(identity, dial, self.client, clocks, DoomedTransport)


def _let_it_look(bridge: Connector) -> None:
    # What is sent, received and written from here on is the orders', not the look at the record.
    session, desk = bridge._link.session, bridge._desk
    assert desk is not None
    until = time.monotonic() + _PATIENCE_S
    while session.proven_inc != session.inc and time.monotonic() < until:
        time.sleep(0.002)
    with desk.resolver._looking:
        pass
    desk.resolver.flush()


def run(given: dict[str, Any], channel: Channel) -> int:
    """Buy what `orders` lists, tell each result, and stay until killed."""
    _Fate.doom = Doom(given, channel)
    vars(journal)["transaction"] = _transaction
    vars(opening)["ConnectorJournal"] = DoomedJournal
    vars(desk)["Driver"] = vars(resolver)["Driver"] = DoomedDriver
    with DoomedConnector.from_config(given["config"], client="atlas") as bridge:
        bridge.connect(_PATIENCE_S)
        _let_it_look(bridge)
        channel.say(word="connected")
        for order in given["orders"]:
            told = bridge.buy("EURUSD", "0.01", client_order_id=order["id"],
                              comment=order["id"], wait=order["wait"])  # fmt: skip
            if order["id"] == SUBJECT:
                _Fate.doom.at("returned")
            channel.say(word=order["id"], status=told.status, code=told.code, by=told.by)
        time.sleep(_PATIENCE_S)
    return 0

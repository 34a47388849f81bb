"""The product's server and the Advisor's real source: an order's life, its end, and the stops."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bridge_core.protocol.messages import Resume
from bridge_core.protocol.operations import Op
from bridge_server.backends.ea_hop import make_head, read_body
from bridge_server.backends.ea_link import Call
from bridge_server.core.attested import Word
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import Terminal
from tests.support.ea_account import EaHouse, EaServer
from tests.support.raw_client import RawClient, now_ms, open_body
from tests.support.running import wait_until

pytestmark = needs_compiler


class Desk(NamedTuple):
    """A server, its client, the terminal, and the keys to verify records with."""

    server: EaServer
    client: RawClient
    terminal: Terminal
    house: EaHouse


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    inputs: dict[str, str | int | float | bool] = {
        "Symbols": "EURUSD", "MaxLots": 100.0, "MaxPositions": 20, "SettleSeconds": 1,
        "ExpectedAccount": 12345678,
        "ExpectedServer": "Broker-Demo",
    }  # fmt: skip
    with EaHouse(tmp_path) as house:
        house.account.edit(
            'login = 22437, server = "Fake-Demo"', 'login = 12345678, server = "Broker-Demo"'
        )
        with Terminal(tmp_path / "terminal", inputs=inputs) as terminal:
            shutil.copy(house.account.folder / "ea" / "bridge.key", terminal.files / "bridge.key")
            terminal.command("price", "EURUSD", "1.08500", "1.08512")
            assert terminal.start() == 0
            server = house.serve()
            client = server.ready()
            began = server.ea.link.status.beat
            assert began is not None
            wait_until(lambda: now_ms() > began.started + 1_100)  # its boot fence

            def day_known() -> bool:  # by the broker's zone, which the Advisor learns from ticks
                terminal.command("price", "EURUSD", "1.08500", "1.08512")
                return server.server.service.keeper.state.realised is not None

            wait_until(day_known)
            yield Desk(server, client, terminal, house)
            server.stop()


def _submissions(desk: Desk) -> int:
    return len(desk.terminal.submissions())


def test_a_trade_from_beginning_to_end_is_attested_at_every_step(desk: Desk) -> None:
    client = desk.client
    opened = client.open(volume="0.10")
    assert opened.status == "FILLED", opened.order()
    ticket = opened.order().ticket
    moved = client.modify(ticket, sl="1.08000")
    part = client.close_position(ticket, volume="0.04")
    pending = client.open(type="BUY_LIMIT", price="1.08000")
    gone = client.cancel(pending.order().ticket)
    rest = client.close_position(part.order().remaining_ticket)
    statuses = [one.status for one in (moved, part, pending, gone, rest)]
    assert statuses == ["DONE", "FILLED", "WORKING", "DONE", "FILLED"], [
        one.order() for one in (moved, part, pending, gone, rest)
    ]
    for one in (opened, moved, part, pending, gone, rest):
        desk.house.record_of(one.order())
    assert not client.query(Op.GET_POSITIONS).positions
    assert {deal.entry for deal in client.query(Op.GET_HISTORY).deals} == {"IN", "OUT"}


def test_a_flatten_is_attested_as_a_whole_and_in_its_parts(desk: Desk) -> None:
    desk.client.open()
    desk.client.open(type="BUY_LIMIT", price="1.08000")
    answer = desk.client.flatten()
    view = answer.order()
    assert answer.status == "DONE", view
    desk.house.record_of(view)
    assert len(view.children) == 2
    for child in view.children:
        desk.house.record_of(desk.client.status(child.rid).subject())


def test_a_halt_and_a_resume_go_through_the_ea(desk: Desk) -> None:
    desk.client.stop(Op.HALT)
    wait_until(lambda: desk.server.ea.about().state == "HALTED")
    assert desk.client.open().code == "HALTED"
    operator = desk.server.client("operator")
    answer = operator.do(Op.RESUME, Resume(cause="OPERATOR", reason="checked"))
    assert answer.status == "DONE", answer.order()
    desk.house.record_of(answer.order())
    wait_until(lambda: desk.client.open().status == "FILLED")


def test_a_fenced_order_never_runs_at_the_ea_either(desk: Desk) -> None:
    # Its signed word comes once its journal is older than SettleSeconds and the terminal's history
    # is seen to reach back so far; the fence itself holds at once.
    frames = desk.client.sign(Op.OPEN, open_body())
    rid = frames.token.split(b":")[5].decode()
    view = desk.client.fence(rid, desk.client.inc, now_ms()).subject()
    assert (view.status, view.code) == ("DENIED", "FENCED")
    late = desk.server.ea.link.hand_over(
        Call(lambda n: make_head("EXEC", n, 0), frames, 2_000), "EXEC"
    ).wait()
    word = read_body(Word, late.body or b"")
    assert word is not None
    assert word.status in ("DENIED", "UNKNOWN")
    assert not _submissions(desk)


@pytest.mark.parametrize("point", ["before", "inside", "after"])
def test_an_ea_killed_in_its_broker_call_acts_at_most_once_and_says_what_happened(
    desk: Desk, point: str
) -> None:
    desk.terminal.command("die", "OrderSend", point)
    frames = desk.client.sign(Op.OPEN, open_body())
    rid = frames.token.split(b":")[5].decode()
    desk.client.send(frames)
    wait_until(lambda: _submissions(desk) == 1, 8)
    desk.terminal.restart()
    if point == "before":  # a broker that shows nothing proves nothing before it has settled
        # UNKNOWN, and on a machine that stood still for so long over before one can ask.
        wait_until(lambda: desk.client.status(rid).subject().status in ("UNKNOWN", "DENIED"), 10)
    else:
        assert desk.house.attested(desk.client, rid, 25).status == "FILLED"
    assert _submissions(desk) == 1


def test_times_are_utc_from_the_signature_to_the_broker_and_back(desk: Desk) -> None:
    """The broker keeps UTC+2: what is signed as UTC is one moment for everybody."""

    def known() -> bool:
        desk.terminal.command("price", "EURUSD", "1.08500", "1.08512")
        beat = desk.server.ea.link.status.beat
        return beat is not None and beat.zone_ms == desk.terminal.terms.zone_ms

    wait_until(known)
    client = desk.client
    until = now_ms() // 1000 * 1000 + 3_600_000  # sooner than the broker's clock is ahead of UTC
    wait_until(lambda: client.query(Op.GET_QUOTE).quotes[0].time < until)  # told anew, in UTC
    wait_until(lambda: desk.server.backend.snapshot().market_ms < until)
    pending = client.open(type="BUY_LIMIT", price="1.08000", expiration=until)
    assert pending.status == "WORKING", pending.order()
    (row,) = desk.terminal.orders()
    assert row["expiration_s"] * 1000 == until + desk.terminal.terms.zone_ms
    view = client.query(Op.GET_ORDERS).orders[0]
    assert (view.expiration, abs(view.placed_at - now_ms()) < 60_000) == (until, True)
    began = now_ms() - 10_000
    ticket = client.opened()
    closed = client.close_position(ticket).order()
    assert abs(closed.execution_time - now_ms()) < 60_000
    recent = client.query(Op.GET_HISTORY, since=began).deals
    assert {deal.ticket for deal in recent} == {ticket}
    assert all(abs(deal.time - now_ms()) < 60_000 for deal in recent)

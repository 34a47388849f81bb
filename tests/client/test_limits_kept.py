"""What the connector's limits remember: counts and latches outlive a restart, and end as told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from bridge_client import Alert, Connector, Status
from bridge_client.journal import ConnectorJournal
from bridge_client.risk_keeper import LOCAL_CAUSES, latches_in
from bridge_core.protocol import messages as m
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView, Page
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import RequestToken
from bridge_core.protocol.views import DealView, PositionView
from tests.client.test_limits_here import BUY, Case, denied_here, trading
from tests.support.fake_server import FakeServer, Instead

DAY_MS: Final = 86_400_000


def reopened(bridge: Connector, server: FakeServer) -> Connector:
    """Return a new connector on the journal of one that ends."""
    bridge.close()
    again = Connector.from_config(server.kit.config, client="atlas")
    again.connect()
    return again


def rejecting(token: RequestToken, body: m.Request) -> OrderView:
    del body
    return OrderView(rid=token.rid, op=token.op, status="REJECTED", code="-", by="broker",
                     final=True, evidence="BROKER")  # fmt: skip


def lose(server: FakeServer, amount: str) -> None:
    server.deals.append(
        DealView(deal=len(server.deals) + 1, ticket=1, order=1, symbol="EURUSD", type="SELL",
                 entry="OUT", volume="1", price="1", profit=amount)
    )  # fmt: skip
    server.money = {**server.money, "balance": f"{9000 - len(server.deals)}"}


# --- counts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("risk", "code", "after"),
    [
        ("max_trades_per_day = 2", "MAX_TRADES", None),
        ("duplicate_window_s = 600", "DUPLICATE_INTENT", None),
        ("max_fills = 2; fills_window_s = 600", "MAX_FILLS", None),
        ("max_rejections = 2", "MAX_REJECTIONS", rejecting),
    ],
)
def test_a_restart_forgets_no_count(
    tmp_path: Path, risk: str, code: str, after: Callable[..., OrderView] | None
) -> None:
    with trading(tmp_path, Case(code, risk)) as (server, first):
        bridge = first
        if after is not None:
            server.decide = after
        second: dict[str, Any] = {**BUY, "volume": "0.02"} if code == "DUPLICATE_INTENT" else BUY
        for order in (BUY, second):
            assert bridge.send_order(**order).final
        for _ in range(2):
            bridge = reopened(bridge, server)
            denied_here(bridge.send_order(**BUY), code)
        assert server.count(Op.OPEN) == 2
        bridge.close()


def test_an_entry_counts_from_its_intent_on_whatever_becomes_of_it(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", "max_trades_per_day = 1")) as (server, first):
        bridge = first
        server.decide = lambda token, body: OrderView(rid=token.rid, op=token.op, status="PENDING")
        assert bridge.send_order(**BUY, wait=0.2).status in ("PENDING", "UNKNOWN")
        bridge = reopened(bridge, server)
        refused = bridge.send_order(**{**BUY, "symbol": "GBPUSD"})
        denied_here(refused, "MAX_TRADES")
        bridge.close()


def test_an_unknown_order_of_an_earlier_run_counts_as_filled(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", "max_open_orders = 1")) as (server, first):
        bridge = first
        server.decide = lambda token, body: OrderView(rid=token.rid, op=token.op, status="PENDING")
        bridge.send_order(**BUY, wait=0.2)
        bridge = reopened(bridge, server)
        denied_here(bridge.send_order(**{**BUY, "symbol": "GBPUSD"}), "MAX_OPEN_ORDERS")
        bridge.close()


def test_the_counts_of_trades_begin_again_with_the_brokers_day(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", "max_trades_per_day = 1")) as (server, bridge):
        assert bridge.send_order(**BUY).status is Status.FILLED
        denied_here(bridge.send_order(**BUY), "MAX_TRADES")
        server.market_ahead_ms = DAY_MS
        assert bridge.send_order(**BUY).status is Status.FILLED


def test_the_day_is_the_brokers_not_ours(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", "max_trades_per_day = 1")) as (server, bridge):
        into_day = server.now_ms() % DAY_MS
        server.market_ahead_ms = 12 * 3_600_000 - into_day  # noon UTC
        assert bridge.send_order(**BUY).status is Status.FILLED
        server.market_ahead_ms += 9 * 3_600_000  # 21:00 UTC
        denied_here(bridge.send_order(**BUY), "MAX_TRADES")
        server.zone_ms = 3 * 3_600_000  # midnight at the broker
        assert bridge.send_order(**BUY).status is Status.FILLED


# --- latches ----------------------------------------------------------------------------------


def _daily_loss(server: FakeServer) -> None:
    lose(server, "-200")


def _drawdown(server: FakeServer) -> None:
    server.money = {"balance": "9000", "equity": "9000", "free_margin": "9000"}


def _rejections(server: FakeServer) -> None:
    server.decide = rejecting


LATCHES: Final = {
    "DAILY_LOSS": ('max_daily_loss = "2%"', "DAILY_LOSS", _daily_loss),
    "DRAWDOWN": ('max_drawdown = "10%"', "DRAWDOWN", _drawdown),
    "BREAKER": ("max_rejections = 1", "MAX_REJECTIONS", _rejections),
}


@pytest.mark.parametrize("cause", LOCAL_CAUSES)
def test_a_limit_that_is_reached_blocks_entries_until_an_operator_ends_it(
    tmp_path: Path, cause: str
) -> None:
    risk, code, world = LATCHES[cause]
    with trading(tmp_path, Case(code, risk)) as (server, first):
        bridge = first
        assert bridge.send_order(**BUY).status is Status.FILLED
        world(server)
        bridge.sync_all()
        bridge.send_order(**BUY)  # it is seen now, or this one is rejected
        denied_here(bridge.send_order(**BUY), code)
        # Whatever it was is gone; the latch is not.
        server.deals.clear()
        server.money = {"balance": "10000", "equity": "10000", "free_margin": "10000"}
        server.decide = server._execute
        bridge = reopened(bridge, server)
        denied_here(bridge.send_order(**BUY), code)
        assert bridge.health().latches == (cause,)
        assert repr(bridge).endswith(f"ACTIVE {cause}>")
        # What reduces passes.
        ticket = next(iter(server.positions))
        assert bridge.close_position(ticket).status is Status.FILLED
        assert bridge.end_latch(cause)
        assert not bridge.end_latch(cause)
        assert bridge.send_order(**BUY).status is Status.FILLED
        bridge = reopened(bridge, server)
        assert bridge.health().latches == ()
        bridge.close()


@pytest.mark.parametrize(("ends", "day"), [("day", True), ("operator", False)])
def test_a_daily_loss_ends_with_the_brokers_day_where_that_is_said(
    tmp_path: Path, ends: str, *, day: bool
) -> None:
    risk = f'max_daily_loss = "2%"; daily_loss_ends = "{ends}"'
    with trading(tmp_path, Case("", risk)) as (server, first):
        bridge = first
        lose(server, "-300")
        denied_here(bridge.send_order(**BUY), "DAILY_LOSS")
        server.market_ahead_ms = DAY_MS
        server.deals.clear()
        bridge = reopened(bridge, server)
        result = bridge.send_order(**BUY)
        assert (result.status is Status.FILLED) is day
        bridge.close()


def test_a_loss_that_floats_counts_and_blocks_on_when_it_is_gone(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", "max_daily_loss = 200")) as (server, bridge):
        bridge.sync_all()
        held = PositionView(ticket=7, symbol="EURUSD", type="BUY", volume="1", open_price="1.1",
                            current_price="1.1", profit="-199")  # fmt: skip
        server.positions[7] = held
        assert bridge.send_order(**BUY).status is Status.FILLED
        server.positions[7] = replace(held, profit="-199", swap="-1")
        bridge.sync_all()
        denied_here(bridge.send_order(**BUY), "DAILY_LOSS")
        server.positions[7] = replace(held, profit="50")
        bridge.sync_all()
        denied_here(bridge.send_order(**BUY), "DAILY_LOSS")


def test_what_a_close_realised_counts_with_the_next_entry(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", "max_daily_loss = 200")) as (server, bridge):
        assert bridge.send_order(**BUY).status is Status.FILLED
        asked = server.count(Op.GET_HISTORY)
        lose(server, "-200")  # its stop was hit, and the balance has moved
        bridge.sync_all()
        denied_here(bridge.send_order(**BUY), "DAILY_LOSS")
        assert server.count(Op.GET_HISTORY) > asked


def test_a_busy_broker_does_not_make_the_day_unknown_until_something_was_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(server: FakeServer, token: RequestToken, frames: Frames) -> list[Frames]:
        del frames
        return [server.sign(token, server.seen[-1][1], "DENIED", "BROKER_BUSY", Page())]

    with trading(tmp_path, Case("", "max_daily_loss = 200")) as (server, bridge):
        assert bridge.send_order(**BUY).status is Status.FILLED
        monkeypatch.setattr("bridge_client.risk_keeper._HISTORY_MS", 0)
        server.fault(Op.GET_HISTORY, Instead(busy), Instead(busy), Instead(busy))
        assert bridge.send_order(**BUY).status is Status.FILLED
        lose(server, "-20")  # now it matters
        bridge.sync_all()
        refused = bridge.send_order(**BUY)
        denied_here(refused, "NO_ACCOUNT")
        assert refused.value == "BROKER_BUSY"


def test_a_limit_that_is_reached_is_told_once(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", "max_rejections = 1")) as (server, bridge):
        with bridge.events("EURUSD", timeout=0.5) as feed:
            assert feed.ready(5)
            server.decide = rejecting
            for _ in range(3):
                bridge.send_order(**BUY)
            heard = [next(feed) for _ in range(6)]
        alerts = [event for event in heard if isinstance(event, Alert)]
        assert [(one.level, one.code) for one in alerts] == [("error", "BREAKER")]
        assert "MAX_REJECTIONS" in alerts[0].message


def test_a_latch_is_on_disk_before_the_next_order_is_refused(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", 'max_drawdown = "10%"')) as (server, bridge):
        bridge.sync_all()
        _drawdown(server)
        bridge.sync_all()
        path = server.kit.folder / "state" / "atlas.db"
        bridge.close()
        journal = ConnectorJournal(path, "demo", "paper")
        assert set(latches_in(journal.risk())) == {"DRAWDOWN"}
        journal.close()

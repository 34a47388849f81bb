"""What the connector does not know refuses an entry, and never a close; and two at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from bridge_client import OrderResult, Status
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import Page, SyncReply
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import RequestToken
from bridge_core.protocol.views import PositionView
from tests.client.test_limits_here import BUY, LIMIT, Case, Order, denied_here, trading
from tests.support.fake_server import Delay, FakeServer, Instead, Lose

PLAIN: Final = Case("")


def _without(change: Callable[[SyncReply], SyncReply]) -> Callable[[FakeServer], None]:
    def world(server: FakeServer) -> None:
        whole = server._sync
        server._sync = lambda: change(whole())  # type: ignore[method-assign]

    return world


def _no_zone(server: FakeServer) -> None:
    server.zone_ms = None


def _old_quotes(server: FakeServer) -> None:
    server.quote_ago_ms = 2_500


def _old_account(server: FakeServer) -> None:
    server.asked_ago_ms = 2_500


def _no_terms(server: FakeServer) -> None:
    server.symbols = [replace(one, currency_profit="SEK") for one in server.symbols]


def _no_symbols(server: FakeServer) -> None:
    server.symbols = []


def _refused(op: Op) -> Callable[[FakeServer], None]:
    def refuse(server: FakeServer, token: RequestToken, frames: Frames) -> list[Frames]:
        asked = server.seen[-1][1]
        return [server.sign(token, asked, "DENIED", "BROKER_DOWN", Page())]

    return lambda server: server.fault(op, *(Instead(refuse) for _ in range(4)))


MISSING: Final = {
    "no account": (_without(lambda reply: replace(reply, account=None)), "NO_ACCOUNT"),
    "an account read too long ago": (_old_account, "NO_ACCOUNT"),
    "no broker's day": (_no_zone, "NO_ACCOUNT"),
    "no picture of the terminal": (_refused(Op.SYNC_ALL), "NO_ACCOUNT"),
    "no deals of the day": (_refused(Op.GET_HISTORY), "NO_ACCOUNT"),
    "no quotes": (_without(lambda reply: replace(reply, quotes=[])), "NO_QUOTE"),
    "quotes asked too long ago": (_old_quotes, "STALE_QUOTE"),
    "no symbol": (_no_symbols, "SYMBOL_UNKNOWN"),
    "no terms to tell its money": (_no_terms, "NO_CONVERSION"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_refuses_an_entry_and_lets_a_close_pass(tmp_path: Path, name: str) -> None:
    world, code = MISSING[name]
    with trading(tmp_path, Case("", "max_order_value = 100000")) as (server, bridge):
        server.positions[7] = PositionView(
            ticket=7, symbol="EURUSD", type="BUY", volume="0.01", open_price="1.1",
            current_price="1.1",
        )  # fmt: skip
        bridge.get_positions()
        world(server)
        denied_here(bridge.send_order(**BUY), code)
        assert server.count(Op.OPEN) == 0
        assert bridge.close_position(7).status is Status.FILLED


def test_a_server_that_answers_no_picture_is_no_connection_within_the_patience(
    tmp_path: Path,
) -> None:
    with trading(tmp_path, PLAIN) as (server, bridge):
        server.fault(Op.SYNC_ALL, *(Lose() for _ in range(8)))
        began = time.monotonic()
        denied_here(bridge.send_order(**BUY, wait=0.5), "NO_CONNECTION")
        assert time.monotonic() - began < 4
        assert server.count(Op.OPEN) == 0


def test_a_picture_is_asked_for_once_and_serves_the_orders_after_it(tmp_path: Path) -> None:
    with trading(tmp_path, PLAIN) as (server, bridge):
        began = time.monotonic()
        for _ in range(5):
            assert bridge.send_order(**BUY).status is Status.FILLED
        asked = server.count(Op.SYNC_ALL)
        # One for each 1.5 s: a crowded machine may need more than that for five orders.
        assert 1 <= asked <= 1 + (time.monotonic() - began) / 1.5
        time.sleep(1.6)
        assert bridge.send_order(**BUY).status is Status.FILLED
        assert server.count(Op.SYNC_ALL) > asked
        assert server.count(Op.GET_SYMBOL) == server.count(Op.GET_HISTORY) == 1


def test_a_refusal_by_the_account_is_only_given_on_a_picture_asked_for_it(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", limit="max_positions = 1")) as (server, bridge):
        assert bridge.send_order(**BUY).status is Status.FILLED
        server.positions.clear()  # closed at the broker, nobody has told us
        assert bridge.send_order(**BUY).status is Status.FILLED
        denied_here(bridge.send_order(**BUY), "MAX_POSITIONS")


def test_closing_cancelling_and_halting_never_wait_for_a_picture(tmp_path: Path) -> None:
    with trading(tmp_path, PLAIN) as (server, bridge):
        held, resting = bridge.send_order(**BUY), bridge.send_order(**LIMIT)
        server.fault(Op.SYNC_ALL, *(Lose() for _ in range(20)))
        time.sleep(2.1)
        before = server.count(Op.SYNC_ALL)
        began = time.monotonic()
        assert bridge.close_position(held).status is Status.FILLED
        assert bridge.cancel_order(resting).status is Status.DONE
        assert bridge.halt("enough").status == "OK"
        assert time.monotonic() - began < 5
        assert server.count(Op.SYNC_ALL) == before


def test_a_close_is_not_measured_by_a_picture_that_is_behind(tmp_path: Path) -> None:
    with trading(tmp_path, PLAIN) as (server, bridge):
        held = bridge.send_order(**BUY)
        bridge.sync_all()  # sees it as it is
        more = replace(server.positions[held.ticket], volume="0.05")  # it has grown: netting
        server.positions[held.ticket] = more
        assert bridge.close_position(held, "0.04").status is Status.FILLED


def test_nobody_waits_for_a_picture_under_the_signing_lock(tmp_path: Path) -> None:
    with trading(tmp_path, PLAIN) as (server, bridge):
        held = bridge.send_order(**BUY)
        server.fault(Op.SYNC_ALL, Delay(3.0))
        time.sleep(1.6)
        entry = threading.Thread(target=lambda: bridge.send_order(**BUY))
        entry.start()
        time.sleep(0.1)  # it asks for a picture now
        assert bridge.close_position(held).status is Status.FILLED
        assert entry.is_alive(), "the close waited with it"
        entry.join(20)


# --- each fine, and jointly not ----------------------------------------------------------------

JOINTLY: Final[tuple[tuple[str, str, str, Order], ...]] = (
    ("MAX_POSITIONS", "", "max_positions = 1", BUY),
    ("MAX_ORDERS", "", "max_orders = 1", LIMIT),
    ("MAX_OPEN_ORDERS", "max_open_orders = 1", "", BUY),
    ("MAX_NET_VOLUME", "", "max_net_volume = 0.01", BUY),
    ("MAX_GROSS_VOLUME", "", "max_gross_volume = 0.01", BUY),
    ("DUPLICATE_INTENT", "duplicate_window_s = 60", "", BUY),
    ("MAX_TRADES", "max_trades_per_day = 1", "", BUY),
    ("MAX_FILLS", "max_fills = 1", "", BUY),
    ("MAX_EXPOSURE", 'max_total_exposure = "11%"', "", BUY),
    ("CURRENCY_EXPOSURE", "max_currency_exposure = 1100", "", BUY),
    ("CORRELATION", "correlation_limit = 1100", "", BUY),
    ("MAX_LEVERAGE", "max_leverage = 0.11", "", BUY),
    ("MARGIN_LEVEL", "min_margin_level = 50000", "", BUY),
)


@pytest.mark.parametrize("row", JOINTLY, ids=lambda row: str(row[0]))
def test_of_two_threads_whose_orders_are_fine_alone_exactly_one_is_signed(
    tmp_path: Path, row: tuple[str, str, str, Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, risk, limit, order = row
    gate = threading.Barrier(2)

    with trading(tmp_path, Case(code, risk, limit)) as (server, bridge):
        bridge.sync_all()
        looked = bridge._judge.fresh_verdict

        def both(*given: object) -> object:
            found = looked(*given)  # type: ignore[arg-type]
            gate.wait(20)  # both were found fine before either is signed
            return found

        monkeypatch.setattr(bridge._judge, "fresh_verdict", both)
        server.fault(Op.OPEN, Delay(0.2))
        results: list[OrderResult] = []
        threads = [
            threading.Thread(target=lambda: results.append(bridge.send_order(**order)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    by_status = sorted(results, key=lambda result: result.status)
    denied_here(by_status[0], code)
    assert by_status[1].status in ("FILLED", "WORKING")
    assert server.count(Op.OPEN) == 1


# --- two sides that disagree ---------------------------------------------------------------


def test_a_connector_that_is_stricter_refuses_before_the_server_is_asked(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", limit="max_volume = 0.05")) as (server, bridge):
        denied_here(bridge.buy("EURUSD", "0.06"), "MAX_VOLUME")
        assert server.count(Op.OPEN) == 0


def test_a_server_that_is_stricter_has_the_last_word(tmp_path: Path) -> None:
    from bridge_core.protocol.replies import OrderView

    with trading(tmp_path, PLAIN) as (server, bridge):
        server.decide = lambda token, body: OrderView(
            rid=token.rid, op=token.op, status="DENIED", code="MAX_VOLUME", by="server",
            limit="0.05", value="0.06", headroom="0.05", final=True, evidence="SERVER",
        )  # fmt: skip
        result = bridge.buy("EURUSD", "0.06")
        assert str(result) == "DENIED MAX_VOLUME by server: limit=0.05 value=0.06 headroom=0.05"
        assert result.by == "server"

"""Each limit of the connector, against a scripted server: the last order within, the first beyond.

Worst prices: a buy of EURUSD gets at most 1.08512 and 20 points of deviation, which is 1.08532; a
lot of it is then worth 108 532 and a hundredth of a lot 1 085.32 dollars, of 10 000 equity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from bridge_client import Connector, OrderResult
from bridge_core.protocol.operations import Op
from bridge_core.protocol.views import DealView, PositionView
from tests.support.fake_server import FakeServer, make_kit

Order = dict[str, Any]
BUY: Final[Order] = {"symbol": "EURUSD", "type": "BUY", "volume": "0.01"}
LIMIT: Final[Order] = {**BUY, "type": "BUY_LIMIT", "price": "1.08000"}


class Case(NamedTuple):
    """A limit: what is added to [risk] and [limits.EURUSD], the orders within it, one beyond."""

    code: str
    risk: str = ""
    limit: str = ""
    within: tuple[Order, ...] = ()
    beyond: Order = BUY
    world: Callable[[FakeServer], object] = lambda _server: None


def _moves(server: FakeServer) -> None:
    server.quotes["EURUSD"] = ("1.08500", "1.08513")


def _lost(server: FakeServer) -> None:
    server.deals.append(
        DealView(
            deal=1, ticket=1, order=1, symbol="EURUSD", type="SELL", entry="OUT", volume="1",
            price="1", profit="-190", swap="-4", commission="-6",
        )
    )  # fmt: skip


def _poor(server: FakeServer) -> None:
    server.money = {"balance": "10000", "equity": "9000", "free_margin": "9000"}


def _closed(server: FakeServer) -> None:
    from msgspec.structs import replace

    server.symbols[0] = replace(server.symbols[0], session="CLOSED")


CASES: Final = (
    Case("SYMBOL_NOT_ALLOWED", within=(BUY,), beyond={**BUY, "symbol": "XAUUSD"}),
    Case("TYPE_NOT_ALLOWED", 'allowed_types = ["BUY"]', within=(BUY,), beyond=LIMIT),
    Case("MARGIN_MODE", 'margin_mode = "netting"'),
    Case("VOLUME_GRID", within=(BUY,), beyond={**BUY, "volume": "0.015"}),
    Case("MAX_VOLUME", within=({**BUY, "volume": "1"},), beyond={**BUY, "volume": "1.01"}),
    Case("MAX_POSITIONS", limit="max_positions = 2", within=(BUY, LIMIT)),
    Case("MAX_ORDERS", limit="max_orders = 1", within=(LIMIT, BUY), beyond=LIMIT),
    Case("MAX_OPEN_ORDERS", "max_open_orders = 2", within=(BUY, LIMIT)),
    Case("MAX_NET_VOLUME", limit="max_net_volume = 0.02",
         within=(BUY, BUY, {**BUY, "type": "SELL"}), beyond={**BUY, "volume": "0.03"}),
    Case("MAX_GROSS_VOLUME", limit="max_gross_volume = 0.02", within=(BUY, BUY)),
    Case("MAX_DEVIATION", limit="max_deviation = 30", within=({**BUY, "deviation": 30},),
         beyond={**BUY, "deviation": 31}),
    Case("TRADING_HOURS", limit='trading_hours = "Mon 00:00-00:01"'),
    Case("SESSION_CLOSED", world=_closed),
    Case("MAX_SPREAD", limit="max_spread = 12", world=_moves),
    Case("PRICE_GRID", within=({**BUY, "sl": "1.08000"},), beyond={**BUY, "sl": "1.080001"}),
    Case("PRICE_COLLAR", limit="price_collar = 1", within=({**BUY, "sl": "1.07500"},),
         beyond={**BUY, "sl": "1.07000"}),
    Case("STOPS_SIDE", within=({**BUY, "sl": "1.08000"},), beyond={**BUY, "sl": "1.09000"}),
    Case("SL_REQUIRED", 'require_sl = true; max_risk_per_trade = "5%"',
         within=({**BUY, "sl": "1.08000"},)),
    Case("SL_DISTANCE", limit="max_sl_distance = 500", within=({**BUY, "sl": "1.08100"},),
         beyond={**BUY, "sl": "1.07900"}),
    Case("DUPLICATE_INTENT", "duplicate_window_s = 60", within=(BUY, {**BUY, "volume": "0.02"})),
    Case("MAX_TRADES", "max_trades_per_day = 2", within=(BUY, BUY)),
    Case("MAX_FILLS", "max_fills = 2", within=(BUY, BUY)),
    Case("MAX_ORDER_VALUE", "max_order_value = 1085.32", within=(BUY,),
         beyond={**BUY, "deviation": 21}),
    Case("MAX_RISK", "max_risk_per_trade = 5.32", within=({**BUY, "sl": "1.08000"},),
         beyond={**BUY, "sl": "1.07999"}),
    Case("MAX_EXPOSURE", 'max_total_exposure = "22%"', within=(BUY, BUY)),
    Case("CURRENCY_EXPOSURE", "max_currency_exposure = 2200", within=(BUY, BUY)),
    Case("CORRELATION", "correlation_limit = 2400", within=(BUY,),
         beyond={**BUY, "symbol": "GBPUSD", "volume": "0.02"}),
    Case("MAX_LEVERAGE", "max_leverage = 0.22", within=(BUY, BUY)),
    Case("MARGIN_LEVEL", "min_margin_level = 50000", within=(BUY,),
         beyond={**BUY, "volume": "0.02"}),
    Case("MIN_EQUITY", "min_equity = 9000", world=_poor),
    Case("DAILY_LOSS", 'max_daily_loss = "2%"', world=_lost),
)  # fmt: skip


@contextmanager
def trading(folder: Path, case: Case) -> Iterator[tuple[FakeServer, Connector]]:
    """Yield a scripted server and a connector with the limits of a case."""
    needed = {"max_daily_loss": '"50%"', "require_sl": "false"}
    given = dict(part.split(" = ", 1) for part in case.risk.split("; ") if part)
    risk = ", ".join(f"{name} = {value}" for name, value in {**needed, **given}.items())
    own = {"max_volume": "1.0", "max_positions": "100"}
    own |= dict(part.split(" = ", 1) for part in (case.limit,) if part)
    limits = "[limits.EURUSD]\n" + "".join(f"{name} = {value}\n" for name, value in own.items())
    limits += "[limits.GBPUSD]\nmax_volume = 1.0\nmax_positions = 100\n"
    kit = make_kit(folder / "connector", more=f"risk = {{ {risk} }}", limits=limits)
    with FakeServer(kit) as server:
        server.money = {"balance": "10000", "equity": "10000", "free_margin": "10000"}
        with Connector.from_config(kit.config, client="atlas") as bridge:
            bridge.connect()
            yield server, bridge


def denied_here(result: OrderResult, code: str) -> None:
    assert (result.status, result.code, result.by) == ("DENIED", code, "connector"), str(result)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.code))
def test_the_last_order_within_a_limit_is_signed_and_the_first_beyond_it_is_not(
    tmp_path: Path, case: Case
) -> None:
    with trading(tmp_path, case) as (server, bridge):
        for order in case.within:
            result = bridge.send_order(**order)
            assert result.status in ("FILLED", "WORKING"), str(result)
        signed = server.count(Op.OPEN)
        case.world(server)
        denied_here(bridge.send_order(**case.beyond), case.code)
        assert server.count(Op.OPEN) == signed
        checked = bridge.check_order(**case.beyond)
        denied_here(checked, case.code)  # what an order would get
        assert server.count(Op.CHECK) == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.code))
def test_an_order_beyond_every_limit_of_entries_may_still_be_closed(
    tmp_path: Path, case: Case
) -> None:
    with trading(tmp_path, case) as (server, bridge):
        server.positions[7] = PositionView(
            ticket=7, symbol="EURUSD", type="BUY", volume="5", open_price="1.1",
            current_price="1.1", profit="-4000",
        )  # fmt: skip
        case.world(server)
        bridge.sync_all()
        assert bridge.close_position(7).status == "FILLED"


def test_a_missing_required_limit_denies_with_the_line_to_add(tmp_path: Path) -> None:
    for more, limits, line in (
        ("risk = { require_sl = false }", "", "[limits.EURUSD] max_volume = 0.01"),
        ("risk = { require_sl = false }", "[limits.EURUSD]\nmax_volume = 1\nmax_positions = 1",
         '[risk] max_daily_loss = "2%"'),
        ('risk = { max_daily_loss = "2%" }', "[limits.EURUSD]\nmax_volume = 1\nmax_positions = 1",
         '[risk] max_risk_per_trade = "1%"'),
    ):  # fmt: skip
        kit = make_kit(tmp_path / line[-9:-4], more=more, limits=limits)
        with FakeServer(kit), Connector.from_config(kit.config, client="atlas") as bridge:
            result = bridge.buy("EURUSD", 0.01)
            denied_here(result, "NO_LIMIT")
            assert result.limit == line


def test_a_refusal_reads_in_one_line(tmp_path: Path) -> None:
    with trading(tmp_path, Case("MAX_RISK", "max_risk_per_trade = 100")) as (_server, bridge):
        result = bridge.buy("EURUSD", "0.10", sl="1.07000")  # 0.01532 x 10 000
        assert str(result) == (
            "DENIED MAX_RISK by connector: limit=100.00 value=153.20 headroom=100.00"
        )


def test_a_ticket_of_another_is_left_alone_where_manage_says_own(tmp_path: Path) -> None:
    with trading(tmp_path, Case("NOT_OURS", 'manage = "own"')) as (server, bridge):
        for ticket, origin in ((7, "foreign"), (8, "ours")):
            server.positions[ticket] = PositionView(
                ticket=ticket, symbol="EURUSD", type="BUY", volume="0.01", open_price="1.1",
                current_price="1.1", origin=origin,
            )  # fmt: skip
        bridge.sync_all()
        denied_here(bridge.close_position(7), "NOT_OURS")
        assert bridge.close_position(8).status == "FILLED"


def test_a_price_that_ran_too_far_is_not_followed(tmp_path: Path) -> None:
    with trading(tmp_path, Case("MAX_MOVE", limit="max_move = 1")) as (server, bridge):
        assert bridge.buy("EURUSD", 0.01).status == "FILLED"
        server.quotes["EURUSD"] = ("1.09600", "1.09612")
        bridge.sync_all()
        denied_here(bridge.buy("EURUSD", 0.01), "MAX_MOVE")


def test_entries_and_closes_have_message_rates_of_their_own(tmp_path: Path) -> None:
    kit = make_kit(tmp_path / "connector", more="rates = { entry_per_s = 1, reduce_per_s = 1 }")
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas") as bridge:
        results = [bridge.buy("EURUSD", 0.01) for _ in range(3)]  # a bucket holds two seconds
        assert [r.status for r in results[:2]] == ["FILLED", "FILLED"]
        denied_here(results[2], "RATE")
        assert bridge.close_position(results[0]).status == "FILLED"
        assert server.count(Op.OPEN) == 2

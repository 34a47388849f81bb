"""`size_for_risk`, `get_limits` and `ztb risk`: what may be traded, and who says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge_client import LimitRow, LocalProtocolError
from bridge_client.cli.risk import side_by_side, tightest
from bridge_core.protocol.operations import Op
from bridge_core.protocol.views import LimitView
from tests.client.test_limits_here import BUY, Case, trading
from tests.support.fake_server import FakeServer, Lose

ONE_PERCENT = Case("", 'max_risk_per_trade = "1%"')


# --- the size ------------------------------------------------------------------------------


def test_the_size_at_a_stop_is_rounded_down_to_the_grid(tmp_path: Path) -> None:
    with trading(tmp_path, ONE_PERCENT) as (_server, bridge):
        # 1.08532 - 1.08000 = 532 points: 532 dollars a lot, of 100 that may be lost.
        size = bridge.size_for_risk("EURUSD", None, "1.08000", 1)
        assert (size.status, size.type, size.exact["volume"]) == ("OK", "BUY", "0.18")
        assert str(size) == "OK BUY 0.18 EURUSD"
        assert bridge.buy("EURUSD", size.volume, sl="1.08000").status == "FILLED"
        over = bridge.buy("EURUSD", "0.19", sl="1.08000")
        assert (over.code, over.by) == ("MAX_RISK", "connector")


def test_a_named_entry_is_sized_from_its_price(tmp_path: Path) -> None:
    with trading(tmp_path, ONE_PERCENT) as (_server, bridge):
        for entry, stop, kind, volume in (
            ("1.08000", "1.07800", "BUY_LIMIT", "0.50"),
            ("1.09000", "1.08800", "BUY_STOP", "0.50"),
            ("1.09000", "1.09200", "SELL_LIMIT", "0.50"),
            ("1.08000", "1.08200", "SELL_STOP", "0.50"),
            (None, "1.09000", "SELL", "0.19"),  # 1.09000 - 1.08480
        ):
            size = bridge.size_for_risk("EURUSD", entry, stop, 1)
            assert (size.type, size.exact["volume"]) == (kind, volume), str(size)


def test_no_size_is_a_value_that_says_why(tmp_path: Path) -> None:
    with trading(tmp_path, ONE_PERCENT) as (server, bridge):
        small = bridge.size_for_risk("EURUSD", "1.08000", "1.00000", "0.01")
        assert str(small) == ("DENIED MAX_RISK by connector: limit=1.00 value=80.00 headroom=1.00")
        with pytest.raises(TypeError, match="truth value"):
            bool(small)
        with pytest.raises(LocalProtocolError, match="risk_percent"):
            bridge.size_for_risk("EURUSD", None, "1.08", 0)
        server.fault(Op.SYNC_ALL, *(Lose() for _ in range(9)))
        bridge._book.seen = None
        away = bridge.size_for_risk("EURUSD", None, "1.08000", 1)
        assert (away.status, away.code, away.by) == ("DENIED", "NO_CONNECTION", "connector")


# --- the limits of three sides ----------------------------------------------------------------


def _told(server: FakeServer) -> None:
    server.limits = [
        LimitView(name="max_volume", symbol="EURUSD", value="0.5", by="server"),
        LimitView(name="max_spread", symbol="EURUSD", by="server"),
        LimitView(name="max_open_orders", value="9", used="1", headroom="8", by="server"),
        LimitView(name="ea_max_lots", value="0.01"),  # as an older server tells it
        LimitView(name="ea_max_positions", value="3", by="ea"),
    ]


def test_the_limits_of_connector_server_and_ea_come_side_by_side(tmp_path: Path) -> None:
    with trading(tmp_path, Case("", "max_open_orders = 5")) as (server, bridge):
        _told(server)
        assert bridge.send_order(**BUY).status == "FILLED"
        rows = bridge.get_limits("EURUSD")
        assert {row.by for row in rows} == {"connector", "server", "ea"}
        assert {row.symbol for row in rows} == {"", "EURUSD"}
        mine = {(row.name, row.symbol): row for row in rows if row.by == "connector"}
        held = mine["max_open_orders", ""]
        assert (held.value, held.used, held.headroom, held.off) == ("5", "1", "4", False)
        assert mine["max_spread", "EURUSD"].off
        assert mine["entry_per_s", ""].value == "5000"
        lines = side_by_side(rows)
        assert set(lines["max_volume", "EURUSD"]) == {"connector", "server", "ea"}
        assert tightest("max_volume", lines["max_volume", "EURUSD"]) == "ea"
        assert tightest("max_open_orders", lines["max_open_orders", ""]) == "connector"
        assert tightest("max_spread", lines["max_spread", "EURUSD"]) == ""


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "first"),
    [
        ("max_volume", "0.1", "0.10", "connector"),
        ("max_volume", "0.2", "0.10", "server"),
        ("max_volume", "", "0.10", "server"),
        ("min_equity", "100", "200", "server"),
        ("require_sl", "false", "true", "server"),
        ("allowed_symbols", "EURUSD", "EURUSD", ""),
    ],
)
def test_the_tightest_is_the_side_that_refuses_first(
    name: str, ours: str, theirs: str, first: str
) -> None:
    line = {
        "connector": LimitRow(name=name, value=ours, by="connector"),
        "server": LimitRow(name=name, value=theirs, by="server"),
    }
    assert tightest(name, line) == first


def test_what_is_left_counts_before_what_is_set() -> None:
    line = {
        "connector": LimitRow(name="max_open_orders", value="5", used="1", headroom="4"),
        "server": LimitRow(name="max_open_orders", value="9", used="8", headroom="1"),
    }
    assert tightest("max_open_orders", line) == "server"

"""The paper market against an independent engine: the `backtesting` package over its own hours.

Test only: the package is AGPL, and nothing of it (its EURUSD file neither) is in this tree.
"""

from __future__ import annotations

import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bridge_core.host.prices import iter_rows, path
from bridge_core.protocol.messages import Open
from bridge_server.backends.paper_book import Book, Turn
from bridge_server.backends.paper_market import Step, apply_step
from bridge_server.backends.paper_money import Money
from bridge_server.backends.paper_orders import Label, close, open_order
from bridge_server.backends.paper_settings import PaperSettings, make_specs
from tests.support import paper

_CASH = 1_000_000
_FAST, _SLOW = 10, 30
_LABEL = Label(1, "Z", "paper")


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Any]]:
    """Return the package's bars as its frame, and as rows read from a MetaTrader export."""
    pytest.importorskip("backtesting", reason="skipped: backtesting (pip install backtesting)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from backtesting.test import EURUSD
    lines = [paper.HEADER]
    for when, row in EURUSD.iterrows():
        prices = "\t".join(f"{row[name]:.5f}" for name in ("Open", "High", "Low", "Close"))
        lines.append(f"{when:%Y.%m.%d}\t{when:%H:%M:%S}\t{prices}\t1\t0\t0\n")
    file: Path = tmp_path_factory.mktemp("hours") / "eurusd.csv"
    file.write_text("".join(lines), encoding="utf-8")
    return EURUSD, list(iter_rows(file))


def _signals(rows: list[Any]) -> list[int]:
    """Return for each bar: 1 buy, -1 sell, 0 nothing (crossing averages of the closes)."""
    closes = [row.close for row in rows]
    signals, last = [], 0
    for index in range(len(closes)):
        if index < _SLOW:
            signals.append(0)
            continue
        fast = sum(closes[index - _FAST + 1 : index + 1]) / _FAST
        slow = sum(closes[index - _SLOW + 1 : index + 1]) / _SLOW
        side = 1 if fast > slow else -1
        signals.append(side if side != last and last else 0)
        last = side
    return signals


def _theirs(frame: Any, signals: list[int], distance: Decimal) -> tuple[list[Any], float]:
    from backtesting import Backtest, Strategy

    class Crossing(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            pass

        def next(self) -> None:
            index = len(self.data) - 1
            signal = signals[index]
            if not signal or index == len(signals) - 1:
                return
            for trade in self.trades:
                trade.close()
            price, away = float(self.data.Close[-1]), float(distance)
            stops: dict[str, float] = {}
            if distance:
                stops = {
                    "sl": round(price - signal * away, 5), "tp": round(price + signal * away, 5),
                }  # fmt: skip
            (self.buy if signal > 0 else self.sell)(size=100_000, **stops)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = Backtest(
            frame, Crossing, cash=_CASH, spread=0, commission=0, margin=0.01,
            trade_on_close=True, hedging=True, finalize_trades=False,
        )  # fmt: skip
        trades = test.run()._trades
    found = [
        (
            int(t.EntryTime.timestamp() * 1000), int(t.ExitTime.timestamp() * 1000),
            "BUY" if t.Size > 0 else "SELL", f"{t.EntryPrice:.5f}", f"{t.ExitPrice:.5f}",
        )
        for t in trades.itertuples()
    ]  # fmt: skip
    return sorted(found), float(trades.PnL.sum())


def _ours(rows: list[Any], signals: list[int], distance: Decimal) -> tuple[list[Any], Decimal]:
    money = Money("USD", 100, make_specs(PaperSettings(), ("EURUSD",)))
    book, deals = Book(balance=Decimal(_CASH)), []
    for index, row in enumerate(rows):
        turn = Turn(money, book)
        apply_step(turn, Step("EURUSD", row.time_ms, path(row), Decimal(0)))
        signal = signals[index]
        if signal and index != len(rows) - 1:
            for ticket in list(turn.book.positions):
                close(turn, paper.close(ticket), _LABEL)
            open_order(turn, _order(signal, row.close, distance), _LABEL)
        book = turn.book
        deals += turn.deals
    opened = {deal.ticket: deal for deal in deals if deal.entry == "IN"}
    closed = [deal for deal in deals if deal.entry == "OUT"]
    found = [
        (
            opened[d.ticket].time_ms, d.time_ms, opened[d.ticket].type,
            f"{opened[d.ticket].price:.5f}", f"{d.price:.5f}",
        )
        for d in closed
    ]  # fmt: skip
    return sorted(found), sum((d.profit for d in closed), Decimal(0))


def _order(signal: int, price: Decimal, distance: Decimal) -> Open:
    stops = {}
    if distance:
        stops = {"sl": str(price - signal * distance), "tp": str(price + signal * distance)}
    return paper.open_order("BUY" if signal > 0 else "SELL", "1", **stops)


@pytest.mark.parametrize("distance", ["0", "0.00400", "0.00250"])
def test_same_trades_and_same_profit_as_an_independent_engine_at_zero_spread(
    hours: tuple[Any, list[Any]], distance: str
) -> None:
    frame, rows = hours
    signals = _signals(rows)
    theirs, their_profit = _theirs(frame, signals, Decimal(distance))
    ours, our_profit = _ours(rows, signals, Decimal(distance))
    assert len(ours) > 100
    assert ours == theirs
    assert abs(float(our_profit) - their_profit) < 0.01

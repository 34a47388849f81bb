"""What an author may give as prices, and how the market of a test moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bridge_client import BridgeError, ConfigError
from bridge_client.testing.market import Market
from bridge_client.testing.prices import Row, Ruler, rows_of, split_symbols
from bridge_core.host.prices import iter_rows
from tests.support.paper import bar, write_bars

EURO = Ruler(Decimal("0.00001"), 10)
YEN = Ruler(Decimal("0.001"), 10)
NINE = datetime(2024, 1, 2, 9, tzinfo=UTC)
NINE_MS = 1_704_186_000_000


def _rows(prices: object, ruler: Ruler = EURO) -> list[tuple[int | None, str, str | None]]:
    return [
        (row.time_ms, str(row.bid), None if row.ask is None else str(row.ask))
        for row in rows_of(prices, ruler)
    ]


def test_a_number_is_a_mid_price_with_half_of_the_spread_on_either_side() -> None:
    assert _rows([1.1, "1.2", Decimal("1.3"), 2]) == [
        (None, "1.09995", None), (None, "1.19995", None), (None, "1.29995", None),
        (None, "1.99995", None),
    ]  # fmt: skip
    assert _rows([1.1], EURO._replace(spread=3)) == [(None, "1.09999", None)]


def test_a_number_finer_than_the_grid_is_put_on_it() -> None:
    assert _rows([1.1000049, 1.1000051]) == [(None, "1.09995", None), (None, "1.09996", None)]
    assert _rows([150.12349], YEN) == [(None, "150.118", None)]


def test_pairs_and_triples_carry_their_own_ask_and_time() -> None:
    assert _rows([(1.1, 1.1002)]) == [(None, "1.10000", "1.10020")]
    for time in (NINE, NINE.replace(tzinfo=None), "2024-01-02T09:00:00Z", NINE_MS):
        assert _rows([(time, 1.1, 1.1002)]) == [(NINE_MS, "1.10000", "1.10020")]
    assert _rows([(NINE, 1.1)]) == [(NINE_MS, "1.09995", None)]


def test_a_generator_is_asked_for_one_price_at_a_time() -> None:
    asked = []

    def endless() -> Any:
        for number in itertools.count(1):
            asked.append(number)
            yield 1 + number / 100

    rows = rows_of(endless(), EURO)
    assert next(rows) == Row(None, Decimal("1.00995"), None)
    assert asked == [1]


def test_a_series_and_a_frame_are_known_by_what_they_can_do() -> None:
    index = pd.DatetimeIndex([NINE, NINE + timedelta(minutes=1)])
    timed = [(NINE_MS, "1.09995", None), (NINE_MS + 60_000, "1.19995", None)]
    assert _rows(pd.Series([1.1, 1.2])) == [(None, "1.09995", None), (None, "1.19995", None)]
    assert _rows(pd.Series([1.1, 1.2], index=index)) == timed
    assert _rows(pd.DataFrame({"Close": [1.1, 1.2], "Open": [9, 9]}, index=index)) == timed
    quotes = pd.DataFrame({"time": index, "ask": [1.3, 1.4], "bid": [1.1, 1.2]})
    assert _rows(quotes) == [
        (NINE_MS, "1.10000", "1.30000"), (NINE_MS + 60_000, "1.20000", "1.40000"),
    ]  # fmt: skip


def test_arrays_are_numbers_and_pairs_too() -> None:
    assert _rows(np.array([1.1, 1.2])) == _rows([1.1, 1.2])
    assert _rows(np.array([[1.1, 1.2], [1.3, 1.4]])) == _rows([(1.1, 1.2), (1.3, 1.4)])
    assert _rows(np.array([1.1], dtype=np.float32)) == _rows([1.1])


def test_a_frame_without_a_price_names_what_it_has() -> None:
    with pytest.raises(ConfigError, match="it has bidd: did you mean bidd"):
        _rows(pd.DataFrame({"Bidd": [1.1]}))


def test_a_file_of_bars_is_their_paths_and_a_plain_one_its_rows(tmp_path: Path) -> None:
    bars = write_bars(tmp_path / "b.csv", [bar(0, "1.1", "1.3", "1.0", "1.2", spread=7)])
    start = next(iter_rows(bars)).time_ms
    assert _rows(str(bars)) == [
        (start, "1.1", "1.10007"), (start + 1000, "1.0", "1.00007"),
        (start + 2000, "1.3", "1.30007"), (start + 3000, "1.2", "1.20007"),
    ]  # fmt: skip
    plain = tmp_path / "p.csv"
    plain.write_text("time,bid,ask\n2024-01-02T09:00:00Z,1.1,1.2\n", encoding="utf-8")
    assert _rows(plain) == [(NINE_MS, "1.1", "1.2")]


@pytest.mark.parametrize(
    ("prices", "why"),
    [
        (42, "give a file"),
        ([1.1, "x"], "price 2 is 'x'"),
        ([float("nan")], "not finite"),
        ([-1.1], "negative"),
        ([0], "above 0"),
        ([True], "bool"),
        ([(1.2, 1.1)], "below the bid"),
        ([(1, 2, 3, 4)], "price 1"),
        ([(object(), 1.1, 1.2)], "is no time"),
        ("nowhere.csv", "nowhere.csv"),
    ],
)
def test_what_is_no_price_is_refused_by_its_number(prices: object, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        _rows(prices)


def test_prices_by_symbol_are_a_mapping_and_anything_else_is_for_one() -> None:
    assert split_symbols([1.1], "EURUSD") == {"EURUSD": [1.1]}
    assert list(split_symbols({"EURUSD": [1], "USDJPY": [2]}, "X")) == ["EURUSD", "USDJPY"]
    assert _rows(None) == [(None, "1.09995", None)]
    assert _rows(None, YEN) == [(None, "149.995", None)]
    with pytest.raises(ConfigError, match="names no symbol"):
        split_symbols({}, "EURUSD")


# --- the market ----------------------------------------------------------------------------------


def _market(folder: Path, **prices: object) -> Market:
    rulers = {"EURUSD": EURO, "USDJPY": YEN}
    return Market(prices, rulers, folder)


def _file(folder: Path, number: int = 0) -> list[list[str]]:
    text = (folder / f"prices-{number}.csv").read_text("utf-8")
    return [line.split(",")[1:] for line in text.splitlines()]


def _times(folder: Path) -> list[int]:
    text = (folder / "prices-0.csv").read_text("utf-8")
    return [int(line.split(",")[0]) for line in text.splitlines()]


def test_each_step_gives_one_row_a_minute_after_the_one_before(tmp_path: Path) -> None:
    market = _market(tmp_path, EURUSD=[1.1, (1.2, 1.3)])
    first = market.forward()
    assert first == 1_704_153_600_000
    assert market.forward() == first + 60_000
    assert market.over
    assert _file(tmp_path) == [["1.09995", "1.10005"], ["1.20000", "1.30000"]]
    with pytest.raises(BridgeError, match="PRICES_OVER: taken=2"):
        market.forward()


def test_the_broker_can_read_every_row(tmp_path: Path) -> None:
    market = _market(tmp_path, EURUSD=[1.1, 1.2, 1.3])
    for move in (
        market.forward, lambda: market.gap("EURUSD", Decimal("0.1")), market.forward,
        lambda: market.spread("EURUSD", 30), lambda: market.place("EURUSD", 2), market.forward,
    ):  # fmt: skip
        move()
    rows = list(iter_rows(tmp_path / "prices-0.csv"))
    assert [(row.open, row.ask) for row in rows] == [
        (Decimal(bid), Decimal(ask))
        for bid, ask in (
            ("1.09995", "1.10005"), ("1.19995", "1.20005"), ("1.29995", "1.30005"),
            ("1.29995", "1.30025"), ("1.99985", "2.00015"), ("1.39995", "1.40025"),
        )
    ]  # fmt: skip


def test_several_symbols_move_together_and_one_that_is_over_stands_still(tmp_path: Path) -> None:
    market = _market(tmp_path, EURUSD=[1.1, 1.2], USDJPY=[150])
    market.forward()
    market.forward()
    assert _file(tmp_path, 1) == [["149.995", "150.005"]] * 2
    market.gap("USDJPY", Decimal(-1))
    assert _file(tmp_path, 0)[-1] == _file(tmp_path, 0)[-2]
    assert _file(tmp_path, 1)[-1] == ["148.995", "149.005"]
    assert market.over
    with pytest.raises(ConfigError, match="did you mean USDJPY"):
        market.gap("USDJPI", Decimal(1))


def test_given_times_are_kept_and_must_go_on(tmp_path: Path) -> None:
    market = _market(tmp_path, EURUSD=[(NINE, 1.1), (NINE, 1.2)])
    assert market.forward() == NINE_MS
    with pytest.raises(ConfigError, match="not later"):
        market.forward()
    other = _market(tmp_path, EURUSD=[(NINE, 1.1)], USDJPY=[(NINE + timedelta(hours=1), 150)])
    with pytest.raises(ConfigError, match="align"):
        other.forward()


def test_a_symbol_without_a_price_and_a_shift_below_zero_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no price of EURUSD"):
        _market(tmp_path, EURUSD=[])
    market = _market(tmp_path, EURUSD=[1.1, 0.01])
    market.forward()
    market.gap("EURUSD", Decimal("-0.5"))
    with pytest.raises(ConfigError, match="after the gaps"):
        market.forward()


def test_something_can_be_done_just_before_a_price(tmp_path: Path) -> None:
    market = _market(tmp_path, EURUSD=[1.1, 1.2, 1.3])
    seen: list[int] = []

    def note(number: int) -> Callable[[], object]:
        return lambda: seen.append(number * 10 + market.steps)

    for number in (3, 2, 3):
        market.before(number, note(number))
    market.before(2, lambda: market.gap("EURUSD", Decimal("0.5")))
    for _ in range(3):
        market.forward()
    assert seen == [21, 32, 32]
    assert [row[0] for row in _file(tmp_path)] == ["1.09995", "1.59995", "1.69995", "1.79995"]
    assert sorted(_times(tmp_path)) == _times(tmp_path)
    with pytest.raises(ConfigError, match="has come already"):
        market.before(3, note(3))

"""Price files: what is read, and that every bad row names its line and column."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.host.prices import PriceRow, decode_line, iter_rows, parse_header, parse_row, path
from bridge_core.protocol.errors import ConfigError

HEADER = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
GOOD = "2024.01.02\t00:01:00\t1.1\t1.3\t1.0\t1.2\t9\t0\t7"
D = Decimal


def _rows(tmp_path: Path, text: str | bytes) -> list[PriceRow]:
    file = tmp_path / "p.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(iter_rows(file))


def test_metatraders_export_is_read_with_time_prices_and_spread(tmp_path: Path) -> None:
    row = _rows(tmp_path, f"{HEADER}\r\n{GOOD}\r\n")[0]
    assert row.time_ms == 1_704_153_660_000
    assert (row.open, row.high, row.low, row.close) == (D("1.1"), D("1.3"), D("1.0"), D("1.2"))
    assert (row.spread_points, row.ask) == (7, None)


def test_a_daily_export_without_time_is_midnight(tmp_path: Path) -> None:
    header = HEADER.replace("<TIME>\t", "")
    row = _rows(tmp_path, f"\ufeff{header}\n2024.01.02\t1\t1\t1\t1\t9\t0\t7\n")[0]
    assert row.time_ms == 1_704_153_600_000


@pytest.mark.parametrize("header", ["", "time,bid,ask\n", "Time, Bid, Ask\n"])
@pytest.mark.parametrize(
    "time",
    ["2024-01-02T00:00:00Z", "2024-01-02 00:00:00", "1704153600000", "2024-01-02T00:00:00.0+00:00"],
)
def test_plain_rows_are_read_with_and_without_a_header(
    tmp_path: Path, header: str, time: str
) -> None:
    row = _rows(tmp_path, f"{header}{time},1.1,1.2")[0]
    assert row == PriceRow(
        time_ms=1_704_153_600_000, open=D("1.1"), high=D("1.1"), low=D("1.1"), close=D("1.1"),
        ask=D("1.2"),
    )  # fmt: skip
    assert path(row) == (D("1.1"),)


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"p\.csv line 5 column <HIGH>"):
        _rows(tmp_path, f"{HEADER}\n\n{GOOD}\n\n2024.01.02\t00:02:00\t1\t0.5\t0.4\t1\t1\t0\t1\n")


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("<DATE>", "2024-01-02"), ("<DATE>", "2024.13.02"), ("<DATE>", "2024.02.30"),
        ("<DATE>", "٢٠٢٤.01.02"), ("<TIME>", "1:02"), ("<DATE>:time", "24:00:00"),
        ("<OPEN>", "nan"), ("<OPEN>", "1e0"), ("<OPEN>", "-1.1"), ("<OPEN>", ""),
        ("<OPEN>", "1,1"), ("<OPEN>", "+1.1"), ("<HIGH>", "Infinity"), ("<HIGH>", "1.19"),
        ("<LOW>", "1.11"), ("<LOW>", "0"), ("<CLOSE>", "1.2.3"), ("<CLOSE>", "1 .2"),
        ("<SPREAD>", "-1"), ("<SPREAD>", "1.5"), ("<SPREAD>", "x"),
    ],
)  # fmt: skip
def test_a_bad_cell_names_file_line_and_column(tmp_path: Path, column: str, cell: str) -> None:
    said, _, place = column.partition(":")
    names = HEADER.split("\t")
    cells = GOOD.split("\t")
    cells[names.index("<TIME>" if place else said)] = cell
    with pytest.raises(ConfigError) as caught:
        _rows(tmp_path, f"{HEADER}\n" + "\t".join(cells) + "\n")
    assert f"p.csv line 2 column {said}: " in caught.value.detail
    assert caught.value.code == "PRICES"


@pytest.mark.parametrize(
    ("second", "column"),
    [
        ("1704153600000,1,1", "time"),
        ("1704153599999,1,1", "time"),
        ("1704153600001,1.1,1.0", "ask"),
        ("1704153600001,nan,1.0", "bid"),
        ("1704153600001,1.0,inf", "ask"),
        ("1704153600001,1.0", "ask"),
        ("1704153600001,1.0,1.1,1.2", "ask"),
        ("2024-01-02T02:00:00+01:00,1,1", "time"),
        ("1704153601,1,1", "time"),
        ("soon,1,1", "time"),
    ],
)
def test_a_bad_plain_row_names_line_and_column(tmp_path: Path, second: str, column: str) -> None:
    with pytest.raises(ConfigError, match=f"line 3 column {column}"):
        _rows(tmp_path, f"time,bid,ask\n1704153600000,1,1\n{second}\n")


@pytest.mark.parametrize("repeat", ["00:01:00", "00:00:59"])
def test_time_that_does_not_increase_is_refused(tmp_path: Path, repeat: str) -> None:
    again = GOOD.replace("00:01:00", repeat)
    with pytest.raises(ConfigError, match="line 3 column <TIME>: not later"):
        _rows(tmp_path, f"{HEADER}\n{GOOD}\n{again}\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEADER.replace("<LOW>\t", ""), "<LOW>: missing"),
        (HEADER + "\t<BID>", "<BID>"),
        (HEADER + "\t<OPEN>", "<OPEN>"),
        ("date;open;high", "neither"),
        ("a,b,c", "neither"),
        (f"{HEADER}\n{GOOD}".encode("utf-16"), "UTF-8"),
        (b"\x80\x81", "UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_fix(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        _rows(tmp_path, text)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        list(iter_rows(tmp_path / "absent.csv"))


@pytest.mark.parametrize(
    ("bar", "points"),
    [
        ("10 14 9 12", "10 9 14 12"),  # the low is nearer
        ("10 11 6 8", "10 11 6 8"),  # the high is nearer
        ("10 12 8 11", "10 8 12 11"),  # as near; the bar rose: low first
        ("10 12 8 9", "10 12 8 9"),  # as near; the bar fell: high first
        ("10 10 10 10", "10"),
        ("10 12 10 12", "10 12"),
        ("10 10 8 8", "10 8"),
        ("10 12 10 11", "10 12 11"),
    ],
)
def test_the_path_is_open_nearer_extreme_farther_extreme_close(bar: str, points: str) -> None:
    o, h, low, c = (D(each) for each in bar.split())
    row = PriceRow(time_ms=1, open=o, high=h, low=low, close=c)
    assert path(row) == tuple(D(each) for each in points.split())


@given(st.lists(st.integers(1, 20), min_size=4, max_size=4))
def test_a_path_begins_at_the_open_ends_at_the_close_and_touches_both_extremes(
    numbers: list[int],
) -> None:
    o, c = D(numbers[0]), D(numbers[1])
    row = PriceRow(time_ms=1, open=o, high=D(max(numbers)), low=D(min(numbers)), close=c)
    points = path(row)
    assert (points[0], points[-1]) == (o, c)
    assert (max(points), min(points)) == (row.high, row.low)
    assert all(a != b for a, b in pairwise(points))


@given(st.binary(max_size=60))
def test_no_line_of_rubbish_raises_anything_but_a_configuration_error(raw: bytes) -> None:
    bars = parse_header(HEADER, "p.csv")
    plain = parse_header("time,bid,ask", "p.csv")
    for layout in (bars, plain):
        with suppress(ConfigError):
            parse_row(layout, decode_line(raw, "p.csv", 2), 2)

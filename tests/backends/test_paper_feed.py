"""Price sources of the paper broker: follow mode, bad rows, spreads, several files, restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge_core.protocol.errors import ConfigError
from tests.support.paper import HEADER, World, bar, open_order, paper_world, write_bars

UP = ("1.10000", "1.10400", "1.09900", "1.10200")  # low first: four ticks
FLAT = ("1.10000",) * 4


def _append(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8", newline="") as stream:
        stream.write(text)


def _follow(folder: Path, **settings: Any) -> World:
    return paper_world(folder, prices="p.csv", follow=True, spread_points=0, **settings)


def _ticks(world: World) -> list[str]:
    return [event.bid for event in world.backend.pump() if event.type == "tick"]


def test_a_followed_file_may_begin_empty_and_a_half_written_line_is_no_row(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.touch()
    world = _follow(tmp_path)
    assert _ticks(world) == []
    _append(file, HEADER[:9])
    assert _ticks(world) == []
    _append(file, HEADER[9:])
    line = bar(0, *UP)
    for character in line[:-1]:
        _append(file, character)
        assert _ticks(world) == []
    _append(file, "\n")
    assert _ticks(world) == ["1.10000", "1.09900", "1.10400", "1.10200"]
    assert _ticks(world) == []
    world.backend.close()


def test_a_followed_file_gives_one_row_each_pump_whatever_the_pace_and_the_clock(
    tmp_path: Path,
) -> None:
    write_bars(tmp_path / "p.csv", [bar(n, *FLAT) for n in range(3)])
    world = _follow(tmp_path, pace_ms=86_400_000)
    assert [len(_ticks(world)) for _ in range(4)] == [1, 1, 1, 0]
    world.backend.close()


def test_a_restart_in_the_middle_of_a_followed_file_goes_on_at_the_next_row(tmp_path: Path) -> None:
    file = write_bars(tmp_path / "p.csv", [bar(0, *UP), bar(1, *FLAT)])
    world = _follow(tmp_path)
    _ticks(world)
    world.backend.close()
    _append(file, bar(2, *UP))
    world = _follow(tmp_path, clock=world.clock)
    assert _ticks(world) == ["1.10200"]  # the quote as it stood, once again
    assert _ticks(world) == ["1.10000"]
    assert len(_ticks(world)) == 4
    world.backend.close()


def test_a_bad_row_in_a_growing_file_stops_the_market_and_says_line_and_column(
    tmp_path: Path,
) -> None:
    file = write_bars(tmp_path / "p.csv", [bar(0, *FLAT)])
    world = _follow(tmp_path)
    _ticks(world)
    _append(file, bar(1, "1.1", "1.0", "1.0", "1.1"))
    events = world.backend.pump()
    assert [e.type for e in events] == ["alert"]
    assert "p.csv line 3 column <HIGH>" in events[0].message
    assert world.backend.pump() == []
    snapshot = world.backend.snapshot()
    assert not snapshot.connected
    assert "line 3 column <HIGH>" in snapshot.note
    world.backend.close()


@pytest.mark.parametrize("follow", [True, False])
def test_a_file_that_is_no_longer_the_one_this_account_went_past_is_refused(
    tmp_path: Path, follow: bool
) -> None:
    file = write_bars(tmp_path / "p.csv", [bar(0, *FLAT), bar(1, *UP)])
    world = paper_world(tmp_path, prices="p.csv", follow=follow)
    world.next_prices(2)
    world.backend.close()
    for lines in ([bar(0, *FLAT), bar(1, *FLAT)], [bar(0, *FLAT)], []):
        write_bars(file, lines)
        with pytest.raises(ConfigError, match="no longer the row"):
            paper_world(tmp_path, prices="p.csv", follow=follow)


def test_a_followed_file_that_becomes_shorter_stops_the_market(tmp_path: Path) -> None:
    file = write_bars(tmp_path / "p.csv", [bar(0, *FLAT), bar(1, *UP)])
    world = _follow(tmp_path)
    world.next_prices(2)
    file.write_text(HEADER, encoding="utf-8")
    assert [e.type for e in world.backend.pump()] == ["alert"]
    world.backend.close()


def test_a_bad_row_anywhere_in_a_finished_file_stops_the_start(tmp_path: Path) -> None:
    write_bars(tmp_path / "p.csv", [bar(0, *FLAT), bar(1, *FLAT), bar(1, *FLAT)])
    with pytest.raises(ConfigError, match="line 4 column <TIME>"):
        paper_world(tmp_path, prices="p.csv")


def test_prices_with_more_digits_than_the_symbol_name_the_setting(tmp_path: Path) -> None:
    write_bars(tmp_path / "p.csv", [bar(0, *("1.100001",) * 4)])
    with pytest.raises(ConfigError, match=r"digits in \[paper\.symbols\.EURUSD\]"):
        paper_world(tmp_path, prices="p.csv")


@pytest.mark.parametrize(
    ("settings", "ask"),
    [
        ({}, "1.10010"),
        ({"spread_points": 3}, "1.10003"),
        ({"spread_points": 3, "spread_from_file": True}, "1.10025"),
    ],
)
def test_the_spread_of_bars_is_the_settings_or_the_rows_own(
    tmp_path: Path, settings: dict[str, Any], ask: str
) -> None:
    write_bars(tmp_path / "p.csv", [bar(0, *FLAT, spread=25)])
    world = paper_world(tmp_path, prices="p.csv", **settings)
    assert [(e.bid, e.ask) for e in world.next_prices()] == [("1.10000", ask)]
    world.backend.close()


def test_rows_of_bid_and_ask_keep_their_own_ask_and_jump(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "time,bid,ask\n1704153600000,1.1,1.10007\n1704153600500,1.2,1.2\n", encoding="utf-8"
    )
    world = paper_world(tmp_path, prices="p.csv")
    assert [(e.bid, e.ask) for e in world.next_prices()] == [("1.10000", "1.10007")]
    ticket = world.do(open_order("SELL", sl="1.15000")).facts.ticket
    assert "spread 7 points" in world.do(open_order("SELL")).facts.comment
    world.next_prices()
    closing = next(d for d in world.backend.history(0, 0) if d.ticket == ticket and d.reason)
    assert (closing.reason, str(closing.price)) == ("SL", "1.2")
    world.backend.close()


def test_several_files_are_one_market_in_the_order_of_market_time(tmp_path: Path) -> None:
    write_bars(tmp_path / "e.csv", [bar(0, *FLAT), bar(2, *FLAT)])
    write_bars(tmp_path / "j.csv", [bar(1, *("150.000",) * 4), bar(2, *("151.000",) * 4)])
    world = paper_world(
        tmp_path,
        prices={"EURUSD": "e.csv", "USDJPY": "j.csv"},
        symbols_allowed=("EURUSD", "USDJPY"),
    )
    seen = [[e.symbol for e in world.next_prices()] for _ in range(4)]
    assert seen == [["EURUSD"], ["USDJPY"], ["EURUSD", "USDJPY"], []]
    world.backend.close()


def test_in_follow_mode_one_file_waits_for_the_other(tmp_path: Path) -> None:
    write_bars(tmp_path / "e.csv", [bar(5, *FLAT)])
    late = write_bars(tmp_path / "j.csv", [])
    world = paper_world(
        tmp_path,
        prices={"EURUSD": "e.csv", "USDJPY": "j.csv"},
        symbols_allowed=("EURUSD", "USDJPY"),
        follow=True,
    )
    assert world.next_prices() == []
    _append(late, bar(4, *("150.000",) * 4))
    assert [e.symbol for e in world.next_prices(3)] == ["USDJPY"]
    _append(late, bar(6, *("150.000",) * 4))
    assert [e.symbol for e in world.next_prices(3)] == ["EURUSD"]
    world.backend.close()


def test_in_follow_mode_rows_of_one_moment_go_together_and_wait_for_nothing_later(
    tmp_path: Path,
) -> None:
    euro = write_bars(tmp_path / "e.csv", [bar(5, *FLAT)])
    yen = write_bars(tmp_path / "j.csv", [bar(5, *("150.000",) * 4)])
    files = {"EURUSD": "e.csv", "USDJPY": "j.csv"}
    world = paper_world(tmp_path, prices=files, symbols_allowed=tuple(files), follow=True)
    assert [e.symbol for e in world.next_prices()] == ["EURUSD", "USDJPY"]
    _append(yen, bar(6, *("151.000",) * 4))
    assert world.next_prices(3) == [], "the other file may still get an earlier row"
    _append(euro, bar(6, *FLAT))
    assert [e.symbol for e in world.next_prices()] == ["EURUSD", "USDJPY"]
    world.backend.close()
    clock = world.clock
    world = paper_world(tmp_path, clock, prices=files, symbols_allowed=tuple(files), follow=True)
    world.next_prices()  # a start repeats the quotes
    _append(euro, bar(7, *FLAT))
    _append(yen, bar(7, *("152.000",) * 4))
    assert [e.symbol for e in world.next_prices()] == ["EURUSD", "USDJPY"]
    world.backend.close()

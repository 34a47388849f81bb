"""How the hop stands is said by the last call that worked, and by nothing else."""

from __future__ import annotations

import pytest

from bridge_server.backends.mt5_connect import Pace
from bridge_server.backends.mt5_status import TRADE, StatusBook
from tests.server.mt5.small import ACCOUNT
from tests.support.clock import FakeClock

_TERMINAL = {"connected": True, "trade_allowed": True, "build": 4000, "ping_last": 1500}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def book(clock: FakeClock) -> StatusBook:
    book = StatusBook(Pace(), clock)
    book.joined()
    book.look(_TERMINAL, ACCOUNT, "")
    assert book.read().alive
    return book


def test_a_read_that_hangs_turns_red_before_it_is_ended(book: StatusBook, clock: FakeClock) -> None:
    book.busy("positions_get")
    clock.advance(4_000)
    assert book.read().alive
    clock.advance(1)
    now = book.read()
    assert (now.alive, now.linked, now.linked_mono) == (False, False, 0)
    assert "positions_get hangs" in now.why
    book.idle(ok=True, ms=4_001.0)
    assert book.read().alive


def test_silence_is_not_health(book: StatusBook, clock: FakeClock) -> None:
    clock.advance(4_001)
    assert "nothing was asked" in book.read().why
    assert not book.about().alive


def test_a_trade_may_take_its_time_and_is_said_to(book: StatusBook, clock: FakeClock) -> None:
    book.busy(TRADE)
    clock.advance(12_000)
    now = book.read()
    assert (now.alive, now.busy_with) == (True, TRADE)
    assert "order_send has run for 12 s" in now.why


def test_a_call_that_fails_is_no_sign_of_life(book: StatusBook, clock: FakeClock) -> None:
    for _ in range(10):
        clock.advance(1_000)
        book.busy("positions_get")
        book.idle(ok=False, ms=1.0)
    assert not book.read().alive
    assert book.read().last_ok_ms == clock.wall_ms() - 10_000


def test_a_wrong_account_is_no_link(book: StatusBook, clock: FakeClock) -> None:
    first = book.read().linked_mono
    assert first
    book.look(_TERMINAL, ACCOUNT, "login 9")
    assert (book.read().linked_mono, book.about().wrong_account) == (0, "login 9")
    assert "log in to the pinned account" in book.read().why
    clock.advance(10)
    book.look(_TERMINAL, ACCOUNT, "")
    assert book.read().linked_mono == first + 10


def test_workers_and_connections_are_counted_apart(book: StatusBook) -> None:
    for pid in (1, 2, 3):
        book.worker(pid)
    now = book.read()
    assert (now.generation, now.restarts, now.connects, now.pid) == (3, 2, 1, 3)
    book.waiting("gone")
    assert (book.read().alive, book.read().why) == (False, "gone")

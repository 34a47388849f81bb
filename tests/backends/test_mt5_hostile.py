"""What a hostile reader asked of the MetaTrader 5 backend: late records, clocks that were wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from bridge_core.protocol.codes import Status
from bridge_server.core.ports import Executed, Lost, NotBegun, Submission
from bridge_server.core.reconcile import Absence, Finding, Suspect, find
from bridge_server.transport import Bell
from bridge_server.worker import ScanJob, Scanned, Worker
from tests.support.clock import SlidingClock
from tests.support.fake_metatrader5 import ANSWERED, EXECUTED
from tests.support.mt5_world import Mt5World, mt5_world
from tests.support.paper import modify, open_order

_DAY_MS = 86_400_000


class SteppedClock(SlidingClock):
    """This machine's clocks; the wall clock is set wrong."""

    def __init__(self, step_ms: int) -> None:
        super().__init__()
        self.wall = step_ms


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Mt5World]:
    with mt5_world(tmp_path) as made:
        yield made


def _judged(world: Mt5World, submission: Submission, since_wall_ms: int) -> Finding | Absence:
    suspect = Suspect(
        rid=submission.rid, tag=submission.tag, magic=submission.magic, body=submission.body
    )
    return find(suspect, world.backend.scan(since_wall_ms))


# --- what counts against the limits must be seen before anybody is told ------------------------


def test_a_fill_is_told_when_its_position_is_shown_so_that_the_next_order_counts_it(
    world: Mt5World,
) -> None:
    world.broker.terms.present_visible_after_ms = 40
    outcome = world.do(open_order())
    assert isinstance(outcome, Executed)
    assert outcome.status is Status.FILLED
    assert outcome.facts.ticket in world.backend.snapshot().positions


def test_a_fill_whose_position_is_not_shown_in_time_is_told_all_the_same(world: Mt5World) -> None:
    world.broker.terms.present_visible_after_ms = 60_000
    outcome = world.do(open_order())
    assert isinstance(outcome, Executed)
    assert outcome.status is Status.FILLED
    world.broker.terms.present_visible_after_ms = 0


def test_what_a_scan_ends_is_in_the_picture_that_comes_with_it(world: Mt5World) -> None:
    world.terminal.faults.script("order_send", EXECUTED, "error", code=-10002)
    world.broker.terms.present_visible_after_ms = 1_000
    submission = world.submission(open_order())
    assert isinstance(world.backend.execute(submission), Lost)
    assert not world.backend.snapshot().positions
    world.clock.advance(1_100)
    worker = Worker(world.backend, cast("Bell", None))
    post = worker._do(ScanJob(world.clock.wall_ms() - 60_000))
    assert isinstance(post, Scanned)
    assert post.scan is not None
    assert post.snapshot is not None
    assert [one.magic for one in post.snapshot.positions.values()] == [submission.magic]


# --- a MODIFY whose order filled at the price it set ----------------------------------------------


def test_a_modify_that_moved_an_order_into_the_market_is_not_absent(world: Mt5World) -> None:
    placed = world.do(open_order("BUY_LIMIT", price="1.07000"))
    assert isinstance(placed, Executed)
    ticket = placed.facts.ticket
    world.terminal.faults.script("order_send", ANSWERED, "error", code=-10002)
    submission = world.submission(modify(ticket, price="1.08400"))
    assert isinstance(world.backend.execute(submission), Lost)
    world.broker.price("EURUSD", "1.08380", "1.08390")
    assert [one["ticket"] for one in world.broker.positions()] == [ticket]
    world.backend.pump()
    for _ in range(2):
        found = _judged(world, submission, world.clock.wall_ms() - 60_000)
    assert isinstance(found, Finding), found
    assert isinstance(found.outcome, Executed)


# --- clocks that were wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("days", [-5, 5])
def test_an_order_is_found_although_the_clock_of_this_machine_was_set_since(
    world: Mt5World, days: int
) -> None:
    world.terminal.faults.script("order_send", EXECUTED, "error", code=-10002)
    submission = world.submission(open_order())
    assert isinstance(world.backend.execute(submission), Lost)
    (held,) = world.broker.positions()
    world.broker.manual_close(int(held["ticket"]))  # nothing but the past tells of it
    since = world.clock.wall_ms() - 60_000
    # Its own clock: the broker goes on as before.
    right, world.mt5._past._clock = world.clock, SteppedClock(days * _DAY_MS)
    for _ in range(2):
        found = _judged(world, submission, since)
    assert isinstance(found, Finding), found
    # It was as wrong when the order was accepted.
    assert isinstance(_judged(world, submission, since + days * _DAY_MS), Finding)
    # It was wrong then, and is right now.
    world.mt5._past._clock = right
    assert isinstance(_judged(world, submission, since + days * _DAY_MS), Finding)


def test_an_expiration_is_not_sent_by_a_clock_of_before_the_week_end(tmp_path: Path) -> None:
    with mt5_world(tmp_path, utc_offset_minutes=None) as world:

        def order(hours: int) -> object:
            at = world.clock.wall_ms() + hours * 3_600_000
            return world.do(open_order("BUY_LIMIT", price="1.07000", expiration=at // 1000 * 1000))

        world.next_prices(3)
        assert isinstance(order(1), Executed)
        world.broker.set_zone(180)  # daylight saving, while nothing ticks
        world.clock.advance(49 * 3_600_000)
        sent = world.terminal.count("order_send")
        refused = order(1)
        assert isinstance(refused, NotBegun), refused
        assert refused.refusal.code == "NO_QUOTE"
        assert world.terminal.count("order_send") == sent
        world.next_prices(4)
        assert isinstance(order(1), Executed)

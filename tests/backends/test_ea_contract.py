"""The backend contract on a fake EA, through the server's own `ea` backend and its real link."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bridge_core.protocol.codes import Status
from bridge_core.protocol.messages import Open
from bridge_server.backends.ea_session import Pins
from bridge_server.core.ports import Executed, Lost, NotBegun
from tests.backends.contract import BackendContract
from tests.support.clock import SlidingClock
from tests.support.ea_world import EaWorld, ea_backend
from tests.support.fake_ea import FakeEa
from tests.support.fake_ea_broker import Broker, judge_mt4
from tests.support.fake_ea_faults import altered_record, another_status, no_record, record_of
from tests.support.fake_ea_market import Terms
from tests.support.fake_ea_relay import ACCT, House
from tests.support.paper import close, open_order
from tests.support.running import free_port, wait_until


class FakeWorld(EaWorld):
    """The world with its EA and broker at hand."""

    fake: FakeEa
    broker: Broker


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FakeWorld]:
    port = free_port()
    clock, house, terms = SlidingClock(), House(port + 2), Terms()
    broker = Broker(tmp_path / "broker", terms, clock)
    broker.price("EURUSD", "1.08500", "1.08512")
    pins = Pins(login=terms.account, server=terms.server, kind=terms.kind)
    backend = ea_backend(house, port + 2, clock, pins)
    fake = FakeEa(house.ea_keys(), tmp_path / "ea", broker, clock=clock)
    fake.beat_s = 0.1
    fake.start()
    try:
        backend.start()
        made = FakeWorld(backend, clock, house, broker)
        made.fake, made.broker = fake, broker
        yield made
        verdict = judge_mt4(broker.lines(), made.signed, ACCT)
        assert verdict.kept, verdict
    finally:
        fake.kill()
        backend.close()


class TestFakeEa(BackendContract):
    """Everything a backend must do."""

    @pytest.fixture
    def world(self, world: FakeWorld) -> FakeWorld:
        return world


def test_an_order_that_the_ea_never_got_was_not_begun(world: FakeWorld) -> None:
    world.fake.kill()
    wait_until(lambda: not world.ea.link.alive(), 12)
    outcome = world.do(open_order())
    assert isinstance(outcome, NotBegun)
    assert outcome.refusal.code == "BROKER_DOWN"
    assert world.broker.begun() == 0


@pytest.mark.parametrize("point", ["after_intent", "call_after", "after_result", "before_reply"])
def test_an_ea_that_dies_with_an_order_leaves_it_unknown(world: FakeWorld, point: str) -> None:
    world.fake.faults.die(point)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(world.do, open_order())
        assert world.fake.wait_dead() == point
        world.clock.advance(61_000)  # it had said BUSY: for so long its silence is no death
        assert isinstance(outcome.result(), Lost)
    assert world.broker.begun() == (point != "after_intent")


@pytest.mark.parametrize(
    "lie", [no_record, another_status("REJECTED"), altered_record(ticket=7, rid="1" * 32)],
)  # fmt: skip
def test_a_word_without_a_fitting_record_ends_nothing(world: FakeWorld, lie: object) -> None:
    world.fake.faults.lies.append(lie)  # type: ignore[arg-type]
    outcome = world.backend.execute(world.submission(open_order()))
    assert isinstance(outcome, Lost)
    assert world.ea.link.counters["ea_lies"] == 1


def test_the_record_of_another_order_is_no_word_about_this_one(world: FakeWorld) -> None:
    first = world.submission(open_order())
    assert isinstance(world.backend.execute(first), Executed)
    row = world.fake.desk.journal.rows[first.rid]
    assert row.word is not None
    world.fake.faults.lies.append(record_of(row.word))
    assert isinstance(world.backend.execute(world.submission(open_order())), Lost)


def test_a_slow_broker_is_not_a_silent_ea(world: FakeWorld) -> None:
    world.broker.slow_s = 3.5  # longer than the silence that is death, were it not for BUSY
    outcome = world.do(open_order())
    assert isinstance(outcome, Executed)
    assert outcome.status is Status.FILLED


def test_a_copy_of_an_answer_changes_nothing(world: FakeWorld) -> None:
    world.fake.faults.copy("ANSWER")
    opened = world.do(open_order())
    assert isinstance(opened, Executed)
    assert isinstance(world.do(close(opened.facts.ticket)), Executed)
    assert world.broker.begun() == 2


def test_the_comment_reaches_the_broker_as_far_as_it_takes_it(world: FakeWorld) -> None:
    body = open_order(comment="a comment that is longer than MT4 keeps")
    assert isinstance(body, Open)
    outcome = world.do(body)
    assert isinstance(outcome, Executed)
    comment = world.backend.snapshot().positions[outcome.facts.ticket].comment
    assert len(comment) == 31
    assert comment.endswith(body.comment[: 31 - 13])

"""The backend contract on the Advisor's real source, through the server's own `ea` backend."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge_core.host.ledger import judge
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.limits import CLOCK_SKEW_MS_MAX
from bridge_core.protocol.tag import make_tag
from bridge_server.backends.ea_session import Pins
from bridge_server.core.ports import Executed, NotBegun, Snapshot
from tests.backends.contract import BackendContract
from tests.mql4.judged import paper_lines
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import Terminal
from tests.support.clock import SlidingClock
from tests.support.ea_world import EaWorld, ea_backend
from tests.support.fake_ea_relay import ACCT, House, write_keys
from tests.support.paper import close, modify, open_order
from tests.support.running import free_port, wait_until

pytestmark = needs_compiler

_TWO_HOURS_MS = 7_200_000


class TerminalPrices:
    """Moves the simulated terminal's market."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def price(self, symbol: str, bid: str, ask: str) -> None:
        self._terminal.command("price", symbol, bid, ask)


class Mt4World(EaWorld):
    """The world with its terminal; time passes there too."""

    terminal: Terminal

    def advance(self, ms: int, *, wall: int | None = None) -> None:
        self.terminal.command("advance", ms)
        if wall is not None:
            self.terminal.command("step_wall", wall - ms)
        super().advance(ms, wall=wall)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Mt4World]:
    port = free_port()
    clock, house = SlidingClock(), House(port + 2)
    inputs: dict[str, str | int | float | bool] = {
        "Symbols": "EURUSD", "MaxLots": 100.0, "MaxPositions": 20, "ExpectedAccount": 12345678,
        "ExpectedServer": "Broker-Demo",
    }  # fmt: skip
    pins = Pins(login=12345678, server="Broker-Demo", kind="demo")
    backend = ea_backend(house, port + 2, clock, pins)
    with Terminal(tmp_path / "terminal", inputs=inputs) as terminal:
        write_keys(house, terminal.files)
        try:
            assert terminal.start() == 0
            _let_history_begin(terminal, clock)
            backend.start()
            made = Mt4World(backend, clock, house, TerminalPrices(terminal), wait_s=15.0)
            made.terminal = terminal
            _outlive_the_boot_fence(made)
            yield made
            lines = paper_lines(terminal.ledger(), made.signed, ACCT, terminal.terms)
            verdict = judge(lines, made.signed, ACCT)
            assert verdict.kept, verdict
        finally:
            backend.close()


def _let_history_begin(terminal: Terminal, clock: SlidingClock) -> None:
    # Every real account's history begins with a deposit: a row older than a range proves that the
    # terminal shows all of the range.
    terminal.command("deposit", 1000)
    terminal.command("advance", _TWO_HOURS_MS)
    clock.advance(_TWO_HOURS_MS)
    terminal.command("price", "EURUSD", "1.08500", "1.08512")


def _outlive_the_boot_fence(world: Mt4World) -> None:
    beat = world.ea.link.status.beat
    assert beat is not None
    fence = beat.started + CLOCK_SKEW_MS_MAX
    wait_until(lambda: world.clock.wall_ms() > fence, 12)


class TestRealAdvisor(BackendContract):
    """Everything a backend must do."""

    @pytest.fixture
    def world(self, world: Mt4World) -> Mt4World:
        return world


def submissions(world: Mt4World) -> int:
    """How many trade calls the terminal's broker has begun."""
    return len(world.terminal.submissions())


def test_a_second_hand_over_returns_the_stored_word(world: Mt4World) -> None:
    submission = world.submission(open_order())
    first = world.backend.execute(submission)
    assert isinstance(first, Executed)
    again = world.backend.execute(submission)
    assert isinstance(again, Executed)
    assert (again.record, again.record_mac) == (first.record, first.record_mac)
    assert submissions(world) == 1


def test_the_broker_is_given_the_signed_fields_and_the_tag(world: Mt4World) -> None:
    body = open_order(volume="0.03", sl="1.08000", tp="1.09000", comment="Strategy_v1")
    submission = world.submission(body)
    outcome = world.backend.execute(submission)
    assert isinstance(outcome, Executed)
    record = world.record(outcome, submission.rid)
    tag = make_tag(ACCT, submission.rid)
    (begin,) = world.terminal.submissions("OPEN")
    assert (begin["fields"]["symbol"], begin["magic"]) == ("EURUSD", tag.mt4_magic)
    assert begin["comment"] == tag.broker_comment("Strategy_v1", 31)
    assert Decimal(str(begin["fields"]["volume"])) == Decimal("0.03")
    assert (Decimal(record.sl), Decimal(record.tp)) == (Decimal("1.08"), Decimal("1.09"))
    assert (record.ticket, record.volume) == (outcome.facts.ticket, "0.03")


def test_a_frame_that_was_changed_on_the_way_runs_nothing(world: Mt4World) -> None:
    submission = world.submission(open_order(volume="0.10"))
    frames = submission.frames
    bent = frames._replace(body=frames.body.replace(b"0.10", b"0.11"))
    outcome = world.backend.execute(replace(submission, frames=bent))
    assert not isinstance(outcome, Executed)
    assert submissions(world) == 0


def test_a_modify_signed_earlier_than_the_last_one_is_superseded(world: Mt4World) -> None:
    opened = world.do(open_order())
    assert isinstance(opened, Executed)
    ticket = opened.facts.ticket
    earlier = world.submission(modify(ticket, sl="1.07000"))
    world.advance(10)
    assert isinstance(world.do(modify(ticket, sl="1.08000")), Executed)
    late = world.backend.execute(earlier)
    assert isinstance(late, NotBegun)
    assert late.refusal.code is ReasonCode.SUPERSEDED


def test_a_position_that_a_stop_took_is_not_closed_by_us(world: Mt4World) -> None:
    opened = world.do(open_order(sl="1.08400"))
    assert isinstance(opened, Executed)
    world.terminal.command("price", "EURUSD", "1.08390", "1.08402")
    wait_until(lambda: not _pumped(world).positions, 15)
    assert not isinstance(world.do(close(opened.facts.ticket)), Executed)


def _pumped(world: Mt4World) -> Snapshot:
    world.backend.pump()
    return world.backend.snapshot()

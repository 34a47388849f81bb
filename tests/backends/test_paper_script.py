"""Scripted conditions make the paper broker bad, once each, and nothing else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bridge_core.host.bundles import ServerKeys
from bridge_core.host.clock import SystemClock
from bridge_core.host.ledger import judge, read_ledger
from bridge_core.protocol.code_table import CODES
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Mode
from bridge_core.risk.policy import AccountLimits, SymbolLimits
from bridge_server.backends.paper import PaperBackend, PaperSettings
from bridge_server.backends.paper_script import ScriptedPaper
from bridge_server.core.ports import Executed, Lost, NotBegun, Rejected
from bridge_server.settings import ServerSettings
from bridge_server.wiring import Hop, build_backend
from tests.backends.contract import BackendContract
from tests.support.clock import FakeClock
from tests.support.paper import ACCT, World, cancel, close, modify, open_order

HOP = Hop(
    ServerKeys(
        acct="demo", mode=Mode.PAPER, ea=False, curve_public="a" * 40, curve_secret="b" * 40,
        event_kid="ev-1", event_srv="01" * 32,
    ),
    "0" * 16,
    lambda: None,
)  # fmt: skip
RISK = AccountLimits(max_daily_loss="2%", require_sl=False)
LIMITS = {"EURUSD": SymbolLimits(max_volume=Decimal(1), max_positions=9)}


class Scripted(World):
    """A scripted paper broker and its script."""

    def __init__(self, folder: Path, clock: FakeClock | None = None) -> None:
        self.folder = folder
        self.script = folder / "script.jsonl"
        settings = PaperSettings(script="script.jsonl", balance=Decimal(10_000))
        clock = clock or FakeClock()
        backend = ScriptedPaper(
            settings, symbols=("EURUSD",), folder=folder, base=folder, clock=clock
        )
        backend.start()
        super().__init__(backend, clock)

    def say(self, **instruction: Any) -> None:
        """Write one line of the script."""
        with self.script.open("a", encoding="utf-8") as file:
            file.write(json.dumps(instruction) + "\n")

    def taken(self) -> list[tuple[int, str]]:
        """Return what was said of each line."""
        text = self.script.with_name("script.jsonl.taken").read_text("utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        return [(row["line"], row["state"]) for row in rows]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Scripted]:
    world = Scripted(tmp_path)
    world.next_prices()
    yield world
    world.backend.close()


class TestAScriptedBrokerKeepsTheContract(BackendContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        world = Scripted(tmp_path)
        world.next_prices()
        yield world
        world.backend.close()


def _settings(**paper: Any) -> ServerSettings:
    return ServerSettings(
        account="demo", mode=Mode.PAPER, backend="paper", allowed_symbols=["EURUSD"],
        limits=LIMITS, risk=RISK, paper=PaperSettings(**paper),
    )  # fmt: skip


def test_only_a_paper_account_whose_settings_name_a_script_has_one(tmp_path: Path) -> None:
    plain = build_backend(_settings(), tmp_path, SystemClock(), HOP)
    assert type(plain) is PaperBackend
    scripted = _settings(script="script.jsonl")
    assert type(build_backend(scripted, tmp_path, SystemClock(), HOP)) is ScriptedPaper
    live = structs.replace(scripted, mode=Mode.LIVE)
    with pytest.raises(ConfigError, match="paper accounts only"):
        build_backend(live, tmp_path, SystemClock(), HOP)


def test_the_account_says_in_its_note_and_its_ledger_that_conditions_are_scripted(
    world: Scripted,
) -> None:
    assert "conditions by script" in world.backend.snapshot().note
    start = read_ledger(world.folder / "ledger.jsonl")[0]
    assert "conditions by script" in str(start.result["source"])


def test_a_rejection_hits_one_order_and_changes_nothing(world: Scripted) -> None:
    world.say(do="reject", code="NO_MONEY")
    outcome = world.do(open_order())
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.facts.retcode) == (ReasonCode.NO_MONEY, 10019)
    assert not world.backend.snapshot().positions
    assert isinstance(world.do(open_order()), Executed)
    assert world.taken() == [(1, "armed"), (1, "spent")]


@pytest.mark.parametrize("code", [code for code in CODES if "broker" in CODES[code].by])
def test_every_word_of_a_broker_can_be_said_with_metatraders_number(
    world: Scripted, code: ReasonCode
) -> None:
    world.say(do="reject", code=code.value)
    outcome = world.do(open_order())
    assert isinstance(outcome, Rejected)
    assert outcome.code is code
    assert 10000 < outcome.facts.retcode < 10050


def test_a_lost_answer_leaves_the_order_done_at_the_broker(world: Scripted) -> None:
    world.say(do="lose", executed=True)
    assert isinstance(world.do(open_order()), Lost)
    assert len(world.backend.snapshot().positions) == 1
    assert len(world.backend.scan(0).deals) == 1
    lines = read_ledger(world.folder / "ledger.jsonl")
    assert lines[-1].result["outcome"] == "EXECUTED", "the broker's own record is never bent"


def test_a_lost_order_leaves_no_trace_but_the_broker_s_shrug(world: Scripted) -> None:
    world.say(do="lose", executed=False)
    assert isinstance(world.do(open_order()), Lost)
    scan = world.backend.scan(0)
    assert scan.complete
    assert (scan.positions, scan.deals) == ((), ())
    assert read_ledger(world.folder / "ledger.jsonl")[-1].result == {"outcome": "LOST"}


def test_the_broker_s_records_can_be_away_as_well_and_then_absence_counts_for_nothing(
    world: Scripted,
) -> None:
    world.say(do="lose", executed=True, seconds=0.2)
    assert isinstance(world.do(open_order()), Lost)
    scan = world.backend.scan(0)
    assert (scan.complete, scan.deals, scan.positions) == (False, (), ())
    time.sleep(0.2)
    scan = world.backend.scan(0)
    assert (scan.complete, len(scan.deals)) == (True, 1)


def test_a_part_is_dealt_and_said_to_be_a_part(world: Scripted) -> None:
    world.say(do="partial", volume="0.04")
    outcome = world.do(open_order(volume="0.10"))
    assert (outcome.status, outcome.facts.volume) == (Status.PARTIAL, Decimal("0.04"))
    ticket = outcome.facts.ticket
    world.say(do="partial", volume="0.01")
    outcome = world.do(close(ticket))
    assert (outcome.status, outcome.facts.remaining_volume) == (Status.PARTIAL, Decimal("0.03"))
    verdict = judge(read_ledger(world.folder / "ledger.jsonl"), world.signed, ACCT)
    assert verdict.kept, verdict


def test_a_part_waits_for_an_order_that_can_be_dealt_in_part(world: Scripted) -> None:
    ticket = world.do(open_order()).facts.ticket
    world.say(do="partial", volume="0.01")
    assert world.do(modify(ticket, sl="1.00000")).status is Status.DONE
    resting = world.do(open_order("BUY_LIMIT", price="1.00000"))
    assert resting.status is Status.WORKING
    assert world.do(cancel(resting.facts.ticket)).status is Status.DONE
    assert world.do(open_order(volume="0.01")).status is Status.FILLED, "it is no part of 0.01"
    assert world.do(open_order(volume="0.02")).status is Status.PARTIAL


def test_a_hang_holds_one_order_at_the_broker_and_can_be_ended(world: Scripted) -> None:
    world.say(do="hang", seconds=30)
    outcomes: list[Any] = []
    call = threading.Thread(target=lambda: outcomes.append(world.do(open_order())))
    call.start()
    until = time.monotonic() + 5
    while len(read_ledger(world.folder / "ledger.jsonl")) < 2:
        assert time.monotonic() < until, "the order never reached the broker"
        time.sleep(0.005)
    assert read_ledger(world.folder / "ledger.jsonl")[-1].phase == "begin"
    assert not outcomes
    assert world.taken() == [(1, "armed"), (1, "spent")], "a kill now would end it for good"
    world.say(do="release")
    call.join(5)
    assert outcomes
    assert outcomes[0].status is Status.FILLED
    assert world.do(open_order()).status is Status.FILLED


def test_a_hang_ends_by_itself_and_may_meet_a_rejection(world: Scripted) -> None:
    world.say(do="reject", code="REQUOTE")
    world.say(do="hang", seconds=0.05)
    begun = time.monotonic()
    outcome = world.do(open_order())
    assert time.monotonic() - begun >= 0.05
    assert outcome.code is ReasonCode.REQUOTE


def test_a_condition_cannot_make_a_late_order_run(world: Scripted) -> None:
    world.say(do="lose", executed=True)
    late = world.submission(open_order(), ttl_ms=200)
    world.clock.advance(200)
    outcome = world.backend.execute(late)
    assert isinstance(outcome, NotBegun)
    assert outcome.refusal.code is ReasonCode.EXPIRED
    assert world.taken() == [(1, "armed")], "it waits for an order that the broker is given"


def test_what_was_armed_and_not_spent_outlives_a_restart(tmp_path: Path) -> None:
    world = Scripted(tmp_path)
    world.next_prices()
    for code in ("NO_MONEY", "REQUOTE", "PRICE_OFF"):
        world.say(do="reject", code=code)
    assert world.do(open_order()).code is ReasonCode.NO_MONEY
    world.backend.close()
    with (tmp_path / "script.jsonl.taken").open("ab") as file:
        file.write(b'{"line":2,"st')  # what a kill leaves behind
    again = Scripted(tmp_path, world.clock)
    assert again.do(open_order()).code is ReasonCode.REQUOTE
    assert again.do(open_order()).code is ReasonCode.PRICE_OFF
    assert isinstance(again.do(open_order()), Executed)
    again.backend.close()


def test_what_is_armed_can_be_cleared(world: Scripted) -> None:
    world.say(do="hang", seconds=60)
    world.say(do="reject", code="NO_MONEY")
    world.say(do="partial", volume="0.01")
    world.say(do="clear")
    outcome = world.do(open_order())
    assert (outcome.status, outcome.facts.volume) == (Status.FILLED, Decimal("0.10"))
    assert {line for line, state in world.taken() if state == "spent"} == {1, 2, 3, 4}


def test_quotes_are_published_again_as_they_stand(world: Scripted) -> None:
    world.say(do="quote")
    (tick,) = world.backend.pump()
    quote = world.backend.snapshot().quotes["EURUSD"]
    assert (tick.type, tick.time, tick.bid) == ("tick", quote.time_ms, str(quote.bid))
    assert world.backend.pump() == []
    assert world.next_prices()[0].time > tick.time


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"do":"reject","code":"HALTED"}', "not a broker's word"),
        ('{"do":"reject","code":"NOMONEY"}', "Invalid enum value"),
        ('{"do":"accept"}', "Invalid value"),
        ('{"do":"hang","seconds":61}', "<= 60"),
        ('{"do":"hang","seconds":-1}', ">= 0"),
        ('{"do":"partial","volume":"0"}', "positive"),
        ('{"do":"lose","executed":true,"more":1}', "unknown field"),
        ("hang", "malformed"),
    ],
)
def test_a_line_that_is_no_instruction_is_refused_with_the_reason(
    world: Scripted, line: str, why: str
) -> None:
    with world.script.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    assert isinstance(world.do(open_order()), Executed)
    said = json.loads(world.script.with_name("script.jsonl.taken").read_text("utf-8"))
    assert said["state"] == "refused"
    assert why in said["why"]


def test_a_line_without_its_end_is_no_line_yet(world: Scripted) -> None:
    with world.script.open("a", encoding="utf-8") as file:
        file.write('{"do":"reject","code":"NO_MONEY"}')
        file.flush()
        assert isinstance(world.do(open_order()), Executed)
        file.write("\n")
    assert isinstance(world.do(open_order()), Rejected)


def test_a_script_where_no_file_can_be_stops_the_start(tmp_path: Path) -> None:
    settings = PaperSettings(script="nowhere/script.jsonl")
    backend = ScriptedPaper(
        settings, symbols=("EURUSD",), folder=tmp_path, base=tmp_path, clock=FakeClock()
    )
    with pytest.raises(ConfigError, match="SCRIPT"):
        backend.start()

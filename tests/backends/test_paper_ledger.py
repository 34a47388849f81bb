"""ledger.jsonl is evidence: complete, in order, and its judge sees what it should see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridge_core.host.ledger import (
    LedgerLine,
    SignedOrder,
    encode_line,
    judge,
    read_ledger,
)
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.messages import Close, Flatten
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import child_rid, make_tag
from bridge_server.core.ports import Executed, NotBegun
from tests.support.paper import (
    ACCT,
    World,
    cancel,
    close,
    modify,
    open_order,
    paper_world,
)

ROOT = Path(__file__).resolve().parents[2]


def _traded(folder: Path) -> World:
    world = paper_world(folder)
    world.next_prices()
    ticket = world.do(open_order(comment="a long comment that no broker keeps whole")).facts.ticket
    world.do(modify(ticket, sl="1.05000"))
    order = world.do(open_order("BUY_LIMIT", price="1.05000")).facts.ticket
    world.do(cancel(order))
    world.do(close(ticket, "0.04"))
    world.do(open_order(volume="100"))  # rejected by the broker: begun all the same
    world.do(modify(ticket, old_sl="1.00000"))  # CHANGED: never begun
    return world


def test_each_act_has_a_line_before_and_a_line_after_and_what_never_began_has_none(
    tmp_path: Path,
) -> None:
    world = _traded(tmp_path)
    lines = read_ledger(tmp_path / "ledger.jsonl")
    assert lines[0].phase == "start"
    assert lines[0].result["comment_chars"] == world.backend.comment_chars
    acts = lines[1:]
    assert [line.phase for line in acts] == ["begin", "end"] * 6
    assert [line.n for line in acts] == [n for n in range(1, 7) for _ in "be"]
    assert [line.result["outcome"] for line in acts[1::2]] == ["EXECUTED"] * 5 + ["REJECTED"]
    assert acts[0].fields == {
        "symbol": "EURUSD", "type": "BUY", "volume": "0.10", "price": "0", "sl": "0", "tp": "0",
        "deviation": 20, "expiration": 0,
    }  # fmt: skip
    verdict = judge(lines, world.signed, ACCT)
    assert verdict.kept
    assert verdict.begun == 6
    assert verdict.in_flight == ()
    assert {name: held.total for name, held in verdict.promises.items()} == dict.fromkeys(
        ("S1", "S2", "S3", "S5"), 6
    )
    world.backend.close()


def test_the_same_orders_twice_leave_the_same_ledger(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        _traded(tmp_path / name).backend.close()
    first, second = (tmp_path / name / "ledger.jsonl" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_a_line_is_written_before_the_act(tmp_path: Path) -> None:
    world = paper_world(tmp_path)
    world.next_prices()
    seen: list[list[str]] = []
    store: Any = world.backend._store  # type: ignore[attr-defined]
    commit = store.commit

    def watched(*args: Any) -> None:
        seen.append([line.phase for line in read_ledger(tmp_path / "ledger.jsonl")])
        commit(*args)

    store.commit = watched
    world.do(open_order())
    assert seen == [["start", "begin"]]
    world.backend.close()


# --- the judge is attacked -----------------------------------------------------------------


def _judged(tmp_path: Path) -> tuple[list[LedgerLine], dict[str, SignedOrder]]:
    world = paper_world(tmp_path)
    world.next_prices()
    world.do(open_order())
    world.backend.close()
    return read_ledger(tmp_path / "ledger.jsonl"), world.signed


@pytest.mark.parametrize(
    ("promise", "change"),
    [
        ("S2", {"wall_ms": 2_000_000_000_000}),
        ("S3", {"fields": {"volume": "1.00"}}),
        ("S3", {"fields": {"volume": "0.1"}}),
        ("S3", {"fields": {"extra": "1"}}),
        ("S3", {"magic": 2**40 + 1}),
        ("S3", {"op": "CLOSE"}),
        ("S5", {"comment": "ZAAAAAAAAAAA Strategy_v1"}),
        ("S5", {"comment": ""}),
    ],
)
def test_a_planted_breach_is_seen_and_named(
    tmp_path: Path, promise: str, change: dict[str, Any]
) -> None:
    lines, signed = _judged(tmp_path)
    begin = lines[1]
    fields = {**begin.fields, **change.pop("fields", {})}
    lines[1] = msgspec.structs.replace(begin, fields=fields, **change)
    verdict = judge(lines, signed, ACCT)
    assert not verdict.kept
    broken = verdict.promises[promise]
    assert (broken.held, broken.total) == (0, 1)
    assert broken.offender == ("n=1" if promise == "S5" else next(iter(signed)))


def test_begun_at_the_deadline_is_late_and_one_millisecond_before_is_not(tmp_path: Path) -> None:
    lines, signed = _judged(tmp_path)
    order = next(iter(signed.values()))
    for wall, held in ((order.iat + order.ttl, 0), (order.iat + order.ttl - 1, 1)):
        lines[1] = msgspec.structs.replace(lines[1], wall_ms=wall)
        assert judge(lines, signed, ACCT).promises["S2"].held == held


def test_a_second_begin_of_one_request_breaks_at_most_once(tmp_path: Path) -> None:
    lines, signed = _judged(tmp_path)
    lines += [msgspec.structs.replace(line, n=2) for line in lines[1:]]
    held = judge(lines, signed, ACCT).promises["S1"]
    assert (held.held, held.total, held.offender) == (1, 2, next(iter(signed)))


def test_a_comment_cut_shorter_than_the_broker_takes_is_altered(tmp_path: Path) -> None:
    lines, signed = _judged(tmp_path)
    lines[1] = msgspec.structs.replace(lines[1], comment=lines[1].comment[:14])
    assert not judge(lines, signed, ACCT).promises["S3"].kept


def _flatten_lines(ticket: int, wall_ms: int, **over: Any) -> list[LedgerLine]:
    rid = child_rid("f" * 32, ticket)
    tag = make_tag(ACCT, rid)
    fields = {"ticket": ticket, "symbol": "EURUSD", "volume": "0", "deviation": 0}
    line = LedgerLine(
        phase="begin", n=1, wall_ms=wall_ms, op="CLOSE", magic=tag.mt5_magic(0),
        comment=tag.comment, fields=fields | over.pop("fields", {}),
    )  # fmt: skip
    return [msgspec.structs.replace(line, **over)]


@pytest.mark.parametrize(
    ("wall_ms", "over", "broken"),
    [
        (1_000_000 + 5_000 + 119_999, {}, None),
        (1_000_000 + 5_000 + 120_000, {}, "S2"),
        (1_000_000, {"fields": {"ticket": 8}}, "S5"),
        (1_000_000, {"fields": {"volume": "0.01"}}, "S3"),
        (1_000_000, {"fields": {"symbol": "USDJPY"}}, "S3"),
        (1_000_000, {"op": "OPEN"}, "S3"),
        (1_000_000, {"op": "CANCEL"}, "S3"),  # POSITIONS were to be closed
    ],
)
def test_children_of_a_flatten_are_known_by_parent_and_ticket_and_may_begin_late(
    wall_ms: int, over: dict[str, Any], broken: str | None
) -> None:
    body = Flatten(
        client_order_id="f1", client="atlas", scope="POSITIONS", symbol="EURUSD", reason="x"
    )
    signed = {"f" * 32: SignedOrder(Op.FLATTEN, 1_000_000, 5_000, body)}
    verdict = judge(_flatten_lines(7, wall_ms, **over), signed, ACCT)
    assert [name for name, held in verdict.promises.items() if not held.kept] == (
        [broken] if broken else []
    )


# --- damage --------------------------------------------------------------------------------


def _line(n: int, phase: str = "begin") -> bytes:
    return encode_line(LedgerLine(phase=phase, n=n, wall_ms=1))


def test_a_line_cut_off_by_a_crash_is_left_out_and_the_next_start_repairs_the_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "ledger.jsonl"
    world = _traded(tmp_path)
    world.backend.close()
    whole = read_ledger(file)
    with file.open("ab") as stream:
        stream.write(_line(99)[:-7])
    assert read_ledger(file) == whole
    world = paper_world(tmp_path, world.clock)
    world.next_prices()
    world.do(open_order())
    world.backend.close()
    lines = read_ledger(file)
    assert [line.phase for line in lines[len(whole) :]] == ["start", "begin", "end"]
    assert [line.n for line in lines[len(whole) :]] == [6, 7, 7]


@pytest.mark.parametrize("middle", [b"{}\n", b'{"phase":"begin"\n', b"\x00\x00\n"])
def test_damage_that_no_crash_makes_is_not_read_over(tmp_path: Path, middle: bytes) -> None:
    file = tmp_path / "ledger.jsonl"
    file.write_bytes(_line(1) + middle + _line(2))
    with pytest.raises(ConfigError, match="line 2"):
        read_ledger(file)
    with pytest.raises(ConfigError):
        read_ledger(tmp_path / "absent")


# --- SIGKILL -------------------------------------------------------------------------------

_VICTIM = """
import os, signal, sys
from pathlib import Path
from tests.support.paper import open_order, paper_world

folder, stage = Path(sys.argv[1]), sys.argv[2]
world = paper_world(folder)
world.next_prices()
world.do(open_order(volume="0.01"))
store, ledger = world.backend._store, world.backend._ledger
commit, end = store.commit, ledger.end

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def killed_commit(*args):
    if stage == "before the commit":
        die()
    commit(*args)
    if stage == "after the commit":
        die()

def killed_end(*args):
    if stage == "before the end line":
        die()
    end(*args)
    die()

store.commit, ledger.end = killed_commit, killed_end
world.do(open_order(volume="0.02"))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="platform has no SIGKILL")
@pytest.mark.parametrize(
    ("stage", "happened", "ended"),
    [
        ("before the commit", False, False),
        ("after the commit", True, False),
        ("before the end line", True, False),
        ("after the end line", True, True),
    ],
)
def test_after_a_kill_the_store_says_what_happened_and_nothing_runs_again(
    tmp_path: Path, stage: str, happened: bool, ended: bool
) -> None:
    victim = subprocess.run(
        [sys.executable, "-c", _VICTIM, str(tmp_path), stage],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert victim.returncode == -signal.SIGKILL
    before = read_ledger(tmp_path / "ledger.jsonl")
    assert [line.phase for line in before] == ["start", "begin", "end", "begin"] + ["end"] * ended
    world = paper_world(tmp_path)
    market_ms = world.backend.snapshot().market_ms
    for _ in range(3):
        world.next_prices()
    scan = world.backend.scan(0)
    assert scan.complete
    lots = sorted(str(position.volume) for position in scan.positions)
    assert lots == (["0.01", "0.02"] if happened else ["0.01"])
    assert len(scan.deals) == len(lots)
    begun = before[3]
    tagged = [deal for deal in scan.deals if deal.magic == begun.magic]
    assert len(tagged) == int(happened)
    assert world.backend.snapshot().market_ms >= market_ms == before[3].market_ms
    outcome = world.do(open_order(volume="0.03"))
    assert isinstance(outcome, Executed)
    assert outcome.facts.ticket == (3 if happened else 2)
    after = read_ledger(tmp_path / "ledger.jsonl")
    assert [line.phase for line in after[len(before) :]] == ["start", "begin", "end"]
    assert after[-1].n == 3
    world.backend.close()


def test_a_request_in_flight_at_a_kill_is_named(tmp_path: Path) -> None:
    lines, signed = _judged(tmp_path)
    verdict = judge(lines[:2], signed, ACCT)
    assert verdict.in_flight == tuple(signed)
    assert verdict.kept


def test_a_late_order_leaves_no_line(tmp_path: Path) -> None:
    world = paper_world(tmp_path)
    world.next_prices()
    late = world.submission(
        Close(client_order_id="c", client="a", ticket=1, symbol="EURUSD", volume="0", deviation=0)
    )
    world.clock.advance(5000)
    assert isinstance(world.backend.execute(late), NotBegun)
    assert [line.phase for line in read_ledger(tmp_path / "ledger.jsonl")] == ["start"]
    world.backend.close()

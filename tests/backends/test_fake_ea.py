"""The fake EA itself, asked by a relay that may lie: it must be as strict as the real one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bridge_core.host.ledger import SignedOrder
from bridge_core.protocol.messages import Fence, Flatten, Resume, Stop, decode_body
from bridge_core.protocol.operations import OPERATIONS, Op, Scope
from bridge_core.protocol.signing import (
    NO_ORDER_HASH,
    Frames,
    ea_record_mac_holds,
    order_hash,
)  # fmt: skip
from bridge_core.protocol.tag import child_rid, make_tag
from bridge_core.protocol.token import parse_ea_record, parse_request
from tests.support.fake_ea import FakeEa
from tests.support.fake_ea_broker import Broker, judge_mt4
from tests.support.fake_ea_checks import EaInputs
from tests.support.fake_ea_faults import POINTS
from tests.support.fake_ea_relay import ACCT, House, Relay
from tests.support.paper import cancel, close, modify, open_order
from tests.support.running import free_port

DIED_WITHOUT_RUNNING = {"before_intent", "after_intent", "call_before"}


class Desk:
    """An EA, its broker and the relay in front of it; remembers what was signed."""

    def __init__(self, folder: Path, inputs: EaInputs | None = None) -> None:
        self.house = House(free_port())
        self.broker = Broker(folder / "broker")
        self.broker.price("EURUSD", "1.08500", "1.08512")
        self.ea = FakeEa(self.house.ea_keys(), folder / "ea", self.broker, inputs=inputs)
        self.relay = Relay(self.house)
        self.signed: dict[str, SignedOrder] = {}

    def start(self) -> None:
        self.ea.start()
        self._greeted()

    def restart(self) -> None:
        self.ea.restart()
        self._greeted()

    def _greeted(self) -> None:
        self.relay.greet(self.ea.instance)
        self.ea.wait_welcome()

    def sign(self, op: Op, body: Any, scope: Scope = Scope.TRADE, **over: Any) -> Frames:
        frames = self.house.signers[scope].sign(op, body, **over)
        token = parse_request(frames.token)
        assert token is not None
        parsed = decode_body(OPERATIONS[op].body, frames.body)
        if parsed is not None:
            self.signed[token.rid] = SignedOrder(op, token.iat, token.ttl, parsed)
        return frames

    def run(self, frames: Frames, ticket: int = 0) -> Any:
        return self.relay.ask("EXEC", ticket, frames=frames)

    def open(self, **over: Any) -> Any:
        return self.run(self.sign(Op.OPEN, open_order(**over)))

    def close(self) -> None:
        self.ea.kill()
        self.relay.__exit__()
        verdict = judge_mt4(self.broker.lines(), self.signed, ACCT)
        assert verdict.kept, verdict

    def attested(self, word: Any) -> Any:
        """Return the word's record once it holds and says what the word says."""
        record = parse_ea_record(word["record"].encode("ascii"))
        assert record is not None
        key = self.house.reply_keys()[record.kid]
        assert ea_record_mac_holds(key, word["record"].encode("ascii"), word["mac"])
        assert (record.status, record.code) == (word["status"], word["code"])
        assert (record.ticket, record.volume) == (word["ticket"], word["volume"])
        return record


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


def _now() -> int:
    return time.time_ns() // 1_000_000


def rid_of(frames: Frames) -> str:
    token = parse_request(frames.token)
    assert token is not None
    return token.rid


def test_an_order_runs_once_and_its_record_says_what_the_broker_did(desk: Desk) -> None:
    frames = desk.sign(Op.OPEN, open_order(volume="0.10", sl="1.08000"))
    word = desk.run(frames)
    record = desk.attested(word)
    token = parse_request(frames.token)
    assert token is not None
    assert (word["status"], word["price"], word["sl"]) == ("FILLED", "1.08512", "1.08000")
    assert record.order_hash == order_hash(frames, token)
    assert desk.relay.wait_for("BUSY:")[0].endswith(rid_of(frames))
    assert desk.run(frames) == word  # a second hand-over returns the stored word
    assert desk.broker.begun() == 1


def test_the_broker_shows_the_mt4_magic_and_the_tag(desk: Desk) -> None:
    frames = desk.sign(Op.OPEN, open_order())
    desk.run(frames)
    tag = make_tag(ACCT, rid_of(frames))
    rows = desk.relay.ask("TAG", tag.mt4_magic)
    assert rows["complete"] is True
    assert rows["positions"][0]["comment"].startswith(tag.comment)
    assert len(rows["positions"][0]["comment"]) <= 31


def test_every_operation_ends_with_a_record(desk: Desk) -> None:
    ticket = desk.open()["ticket"]
    part = desk.run(desk.sign(Op.CLOSE, close(ticket, "0.04")))
    assert (part["status"], part["remaining_volume"]) == ("FILLED", "0.06")
    desk.attested(part)
    rest = part["remaining_ticket"]
    assert desk.attested(desk.run(desk.sign(Op.MODIFY, modify(rest, sl="1.08")))).sl == "1.08"
    order = desk.open(type_="BUY_LIMIT", price="1.00000")
    assert desk.attested(order).status == "WORKING"
    assert desk.attested(desk.run(desk.sign(Op.CANCEL, cancel(order["ticket"])))).status == "DONE"
    whole = desk.run(desk.sign(Op.CLOSE, close(rest)))
    assert Decimal(desk.attested(whole).price) == Decimal("1.08500")


@pytest.mark.parametrize("bent", ["body", "ea", "none", "kid"])
def test_what_does_not_verify_is_dropped_without_a_word(desk: Desk, bent: str) -> None:
    frames = desk.sign(Op.OPEN, open_order(volume="0.10"))
    head, _, srv = frames.token.decode().rsplit(":", 2)
    changed = {
        "body": Frames(frames.token, frames.body.replace(b"0.10", b"0.11")),
        "ea": Frames(f"{head}:{'0' * 64}:{srv}".encode(), frames.body),
        "none": Frames(f"{head}:-:{srv}".encode(), frames.body),
        "kid": Frames(frames.token.replace(b"trade-1", b"trade-2"), frames.body),
    }[bent]
    assert desk.relay.silence("EXEC", 0, frames=changed)
    assert desk.broker.begun() == 0
    assert sum(desk.ea.desk.counters.values()) == 1


def test_a_message_that_is_none_is_dropped_even_with_an_order_in_it(desk: Desk) -> None:
    frames = desk.sign(Op.OPEN, open_order())
    for head in ("RUN:7:0", "EXEC:07:0", "EXEC:7", "STATUS:7:" + rid_of(frames), "POSITIONS:7:0"):
        desk.relay.say(head, frames)
    assert desk.relay.silence("EXEC", 0)  # and one that should have carried an order
    assert desk.broker.begun() == 0


def test_a_reduce_key_cannot_open_and_an_operator_key_cannot_close(desk: Desk) -> None:
    ticket = desk.open()["ticket"]
    keys = desk.house.signers
    for scope, op, body in (
        (Scope.REDUCE, Op.OPEN, open_order()), (Scope.OPERATOR, Op.CLOSE, close(ticket)),
    ):  # fmt: skip
        # Its own keys would not hold for the operation: the scope itself must refuse.
        frames = keys[scope].forge(op, body)
        assert desk.relay.silence("EXEC", 0, frames=frames)
    assert desk.broker.begun() == 1


def test_the_same_rid_with_other_bytes_is_a_conflict_and_changes_nothing(desk: Desk) -> None:
    frames = desk.sign(Op.OPEN, open_order(volume="0.10"))
    word = desk.run(frames)
    other = desk.house.signers[Scope.TRADE].sign(
        Op.OPEN, open_order(volume="0.20"), rid=rid_of(frames)
    )
    assert desk.attested(desk.run(other)).code == "CONFLICT"
    assert desk.relay.ask("STATUS", rid_of(frames)) == word


def test_an_order_past_its_deadline_is_denied_with_a_record(desk: Desk) -> None:
    desk.ea.desk.begun_ms -= 60_000
    now = _now()
    late = desk.run(desk.sign(Op.OPEN, open_order(), iat=now - 5_000))
    assert desk.attested(late).code == "EXPIRED"
    early = desk.run(desk.sign(Op.OPEN, open_order(), iat=now + 5_000))
    assert desk.attested(early).code == "NOT_YET_VALID"
    assert desk.broker.begun() == 0


@pytest.mark.parametrize("point", POINTS)
def test_wherever_it_dies_the_order_ran_at_most_once_and_the_next_instance_knows(
    desk: Desk, point: str
) -> None:
    frames = desk.sign(Op.OPEN, open_order())
    desk.ea.faults.die(point)
    desk.relay.send("EXEC", 0, frames=frames)
    assert desk.ea.wait_dead() == point
    desk.restart()
    word = desk.relay.ask("STATUS", rid_of(frames))
    if point == "before_intent":
        assert word["status"] == "NOT_SEEN"
        word = desk.relay.ask("TOMBSTONE", rid_of(frames), "trade-1")
    wanted = "DENIED" if point in DIED_WITHOUT_RUNNING else "FILLED"
    assert desk.attested(word).status == wanted
    assert desk.run(frames) == word  # a late copy gets the same word
    assert desk.broker.begun() == (wanted == "FILLED")


def test_a_journal_that_is_gone_fences_what_was_signed_before_the_start(desk: Desk) -> None:
    ran = desk.sign(Op.OPEN, open_order())
    desk.run(ran)
    never = desk.sign(Op.OPEN, open_order())
    desk.ea.kill()
    (desk.ea._folder / "ea-journal.jsonl").unlink()
    desk.restart()
    assert desk.run(ran)["status"] == "UNKNOWN"  # its tag is at the broker
    assert desk.relay.ask("TOMBSTONE", rid_of(ran), "trade-1")["record"] == ""
    assert desk.attested(desk.run(never)).code == "FENCED"
    assert desk.broker.begun() == 1


def test_a_tombstone_is_signed_with_a_hash_of_zeros_and_no_late_copy_passes_it(desk: Desk) -> None:
    frames = desk.sign(Op.OPEN, open_order())
    record = desk.attested(desk.relay.ask("TOMBSTONE", rid_of(frames), "trade-1"))
    assert (record.status, record.code, record.order_hash) == ("DENIED", "FENCED", NO_ORDER_HASH)
    assert desk.run(frames)["code"] == "FENCED"
    assert desk.broker.begun() == 0
    assert desk.relay.silence("TOMBSTONE", "0" * 31 + "1", "nobody")


def test_a_fence_of_the_connector_is_a_tombstone_too(desk: Desk) -> None:
    frames = desk.sign(Op.OPEN, open_order())
    fence = desk.sign(
        Op.FENCE, Fence(rid=rid_of(frames), inc="0" * 16, iat=_now(), symbol="EURUSD")
    )
    assert desk.attested(desk.relay.ask("FORWARD", frames=fence)).code == "FENCED"
    assert desk.run(frames)["code"] == "FENCED"


def test_a_halt_keeps_entries_out_also_after_a_restart_until_the_operator_resumes(
    desk: Desk,
) -> None:
    ticket = desk.open()["ticket"]
    halt = desk.sign(Op.HALT, Stop(reason="x"))
    assert desk.relay.ask("FORWARD", frames=halt)["state"] == "HALTED"
    desk.restart()
    assert desk.attested(desk.open()).code == "HALTED"
    assert desk.attested(desk.run(desk.sign(Op.CLOSE, close(ticket)))).status == "FILLED"
    resume = desk.sign(Op.RESUME, Resume(cause="OPERATOR", reason="x"), Scope.OPERATOR)
    assert desk.attested(desk.run(resume)).status == "DONE"
    assert desk.open()["status"] == "FILLED"


def test_a_flatten_closes_what_was_in_scope_and_says_so_itself(desk: Desk) -> None:
    tickets = [desk.open()["ticket"], desk.open(type_="BUY_LIMIT", price="1.0")["ticket"]]
    body = Flatten(client_order_id="f", client="atlas", scope="ALL", symbol="", reason="x")
    frames = desk.sign(Op.FLATTEN, body)
    first = desk.attested(desk.run(frames, tickets[0]))
    assert (first.op, first.rid) == ("CLOSE", child_rid(rid_of(frames), tickets[0]))
    desk.restart()
    second = desk.attested(desk.run(frames, tickets[1]))
    assert (second.op, second.status) == ("CANCEL", "DONE")
    assert desk.attested(desk.run(frames)).status == "DONE"
    assert desk.broker.begun() == 4


def test_a_call_without_an_answer_is_unknown_until_the_book_says(desk: Desk) -> None:
    desk.broker.lose(executed=True)
    word = desk.open()
    assert (word["status"], word["record"]) == ("UNKNOWN", "")
    found = desk.relay.ask("STATUS", word["rid"])
    assert desk.attested(found).status == "FILLED"
    desk.broker.lose(executed=False)
    lost = desk.open()
    assert desk.attested(desk.relay.ask("STATUS", lost["rid"])).code == "ABSENT"


def test_caps_and_symbols_of_its_own_refuse_before_the_broker(tmp_path: Path) -> None:
    desk = Desk(tmp_path, EaInputs(symbols=("EURUSD",), max_lots="0.05", max_positions=1))
    desk.start()
    try:
        assert desk.attested(desk.open(volume="0.06")).code == "MAX_VOLUME"
        assert desk.attested(desk.open(symbol="GBPUSD")).code == "SYMBOL_NOT_ALLOWED"
        assert desk.attested(desk.open(volume="0.05")).status == "FILLED"
        assert desk.attested(desk.open(volume="0.01")).code == "MAX_POSITIONS"
        assert desk.broker.begun() == 1
    finally:
        desk.close()

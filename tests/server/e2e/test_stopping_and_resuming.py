"""The kill switch: HALT, the `halted` file, RESUME, and what may not keep them from working."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

from bridge_core.protocol.messages import GetRange, Resume
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import LogPage
from tests.support.clock import FakeClock
from tests.support.raw_client import Answer, RawClient, close_body, decode, now_ms, open_body
from tests.support.running import Account, Running, wait_until
from tests.support.scripted_backend import ScriptedBackend


def _resume(client: RawClient, cause: str = "OPERATOR") -> Answer:
    return client.do(Op.RESUME, Resume(cause=cause, reason="looked at it"))


def _halted(account: Account) -> Path:
    return account.state / "halted"


def test_a_halt_refuses_entries_lets_reductions_pass_and_outlives_a_restart(
    account: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client = server.ready()
        first, second = (client.opened() for _ in range(2))
        resting = client.opened(type="BUY_LIMIT", price="1.09000")
        halt = client.stop(Op.HALT, "enough")
        assert halt.status == "OK"
        word, rid, reason = _halted(account).read_text("utf-8").split()
        assert (word, rid, reason) == ("HALTED", halt.token.rid, "enough")
        assert client.open().code == "HALTED"
        assert client.modify(first, sl="1.09000").code == "HALTED"
        assert client.close_position(first).status == "FILLED"
        assert client.cancel(resting).status == "DONE"
    with Running(account, broker) as server:
        client = server.client()
        hello = client.hello()
        assert hello.state == "HALTED"
        assert "OPERATOR" in [one.cause for one in hello.causes]
        assert client.open().code == "HALTED"
        assert client.close_position(second).status == "FILLED"
        assert client.flatten().status == "DONE"


def test_only_an_operators_key_resumes_and_only_what_is_latched(
    running: Running, trader: RawClient, account: Account
) -> None:
    operator = running.client("operator")
    assert _resume(operator).code == "NOT_LATCHED"
    trader.stop(Op.HALT)
    for cause in ("RECOVERING", "UNKNOWN", "NONSENSE", "GHOST_FILL"):
        assert _resume(operator, cause).code == "NOT_LATCHED"
    resume = trader.sign(Op.RESUME, Resume(cause="OPERATOR", reason="let me"))
    assert trader.silent(resume, 100)
    assert _halted(account).exists()
    frames = operator.sign(Op.RESUME, Resume(cause="OPERATOR", reason="looked at it"))
    first = operator.ask(frames)
    assert first.status == "DONE"
    assert not _halted(account).exists()
    assert trader.open().status == "FILLED"
    # A copy of the RESUME after another HALT is history, not a command.
    trader.stop(Op.HALT)
    assert operator.ask(frames).frames == first.frames
    assert trader.open().code == "HALTED"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (b"", "HALTED"), (b"garbage", "HALTED"), (b"\xff\x00\n", "HALTED"), (b"HALTED", "HALTED"),
        (b"REDUCE_ONLY", "REDUCE_ONLY"), (b"REDUCE_ONLY ab mine\n", "REDUCE_ONLY"),
        (b"reduce_only", "HALTED"), (b"REDUCE_ONLYX", "HALTED"), (b"ACTIVE", "HALTED"),
    ],
)  # fmt: skip
def test_a_hand_made_halted_file_is_read_at_the_start_and_anything_unclear_means_halted(
    account: Account, text: bytes, state: str
) -> None:
    account.state.mkdir(mode=0o700, exist_ok=True)
    _halted(account).write_bytes(text)
    with Running(account) as server:
        client = server.client()
        assert client.hello().state == state
        assert _resume(server.client("operator")).status == "DONE"
        assert not _halted(account).exists()
        wait_until(lambda: client.hello().state == "ACTIVE")
        assert client.open().status == "FILLED"


def test_a_reduce_only_does_not_soften_a_halt(
    running: Running, trader: RawClient, account: Account
) -> None:
    trader.stop(Op.HALT)
    trader.stop(Op.REDUCE_ONLY)
    assert trader.hello().state == "HALTED"
    assert _halted(account).read_text("utf-8").startswith("HALTED ")


def test_a_stop_needs_no_clock_no_incarnation_and_no_readable_body(
    running: Running, trader: RawClient
) -> None:
    for change in (
        {"iat": now_ms() - 86_400_000}, {"iat": now_ms() + 86_400_000}, {"inc": "0" * 16},
        {"inc": "ab" * 8}, {"ttl": 10_000},
    ):  # fmt: skip
        assert trader.do(Op.REDUCE_ONLY, b"not even JSON", **change).status == "OK"
    frames = trader.sign(Op.HALT, b'{"reason":"a"}')
    assert trader.ask(frames).status == "OK"
    assert trader.ask(frames).status == "OK"  # evaluated anew each time
    assert trader.hello().state == "HALTED"


def test_a_halt_holds_when_its_file_cannot_be_written(
    running: Running, trader: RawClient, account: Account
) -> None:
    (account.state / "halted.new").mkdir()  # nothing can be put there
    assert trader.stop(Op.HALT).status == "OK"
    assert trader.open().code == "HALTED"
    assert "halted_file" in account.log
    # As soon as the disk takes it, it is there for the next start.
    (account.state / "halted.new").rmdir()
    wait_until(lambda: _halted(account).exists())
    assert _halted(account).read_text("utf-8").startswith("HALTED ")


class _Stepping(FakeClock):
    """The machine's clock, which a test can push aside."""

    def wall_ms(self) -> int:
        return now_ms() + self.wall

    def mono_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.mono


def test_after_a_clock_step_entries_wait_and_everything_that_stops_or_reduces_works(
    account: Account,
) -> None:
    clock = _Stepping(0, 0)
    with Running(account, ScriptedBackend(clock), clock) as server:
        client = server.ready()
        ticket, other = (client.opened() for _ in range(2))
        clock.step_wall(400)
        for order in ({}, {"type": "BUY_LIMIT", "price": "1.0"}):
            assert client.open(**order).code == "CLOCK"
        assert client.hello().state == "REDUCE_ONLY"
        assert client.modify(ticket, sl="1.09000").status == "DONE"
        assert client.close_position(ticket).status == "FILLED"
        assert client.stop(Op.HALT).status == "OK"
        assert client.flatten().status == "DONE"
        assert other not in server.scripted.positions
        assert _resume(server.client("operator")).status == "DONE"
        clock.advance(31_000)
        wait_until(lambda: client.hello().state == "ACTIVE")


def test_an_order_that_waits_expires_by_the_monotonic_clock_when_the_wall_clock_is_set_back(
    account: Account,
) -> None:
    clock = _Stepping(0, 0)
    with Running(account, ScriptedBackend(clock), clock) as server:
        client = server.ready()
        ticket = client.opened()
        hang = server.scripted.hang()
        client.send(client.sign(Op.OPEN, open_body()))
        hang.wait_entered()
        close = client.sign(Op.CLOSE, close_body(ticket), ttl=300)
        client.send(close)
        rid = close.token.split(b":")[5].decode()
        asker = server.client()
        wait_until(lambda: asker.status(rid=rid).status == "OK")
        clock.step_wall(-3_600_000)
        (answer,) = client.answers([close])
        assert answer.code == "EXPIRED"
        hang.release()


def test_a_clock_set_back_between_two_runs_halts_until_an_operator_looks(
    account: Account,
) -> None:
    with Running(account) as server:
        server.ready()
    clock = _Stepping(-60_000, 0)
    with Running(account, ScriptedBackend(clock), clock) as server:
        client = server.client()
        assert "CLOCK_HIGH_WATER" in [one.cause for one in client.hello().causes]
        assert client.do(Op.OPEN, b"{}", iat=now_ms() - 60_000).status == "DENIED"
        operator = server.client("operator")
        answer = operator.do(
            Op.RESUME, Resume(cause="CLOCK_HIGH_WATER", reason="NTP"), iat=now_ms() - 60_000
        )
        assert answer.status == "DONE"


def test_the_record_keeps_every_stop_and_resume(running: Running, trader: RawClient) -> None:
    trader.stop(Op.HALT, "why-" + secrets.token_hex(2))
    _resume(running.client("operator"))
    page = decode(LogPage, trader.do(Op.GET_LOG, GetRange(since=0, first=1, count=0)))
    kinds = [row.record.split("\n")[0] for row in page.rows]
    text = " ".join(row.record for row in page.rows)
    assert kinds
    assert "STATE" in text
    assert "RESUME" in text
    assert "why-" in text

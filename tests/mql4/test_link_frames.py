"""Frames that are not what they should be get nothing but a number in the beat."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from bridge_core.protocol.messages import Fence, Stop
from bridge_core.protocol.operations import Op, Scope
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import NO_INCARNATION
from tests.mql4.hop import Hop, Keyring, attached, wait_for
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import Terminal
from tests.support.builders import close_order, open_order

pytestmark = needs_compiler


def dropped(hop: Hop) -> int:
    """The counter of the EA."""
    count: int = hop.beat()["dropped"]
    return count


def test_a_message_of_any_other_form_is_dropped_and_counted(tmp_path: Path) -> None:
    good = b"", b"ZTH5"
    rid = secrets.token_hex(16).encode()
    bad: list[tuple[bytes, ...]] = [
        (b"",),
        (b"x",),
        (*good,),
        (*good, b"HEALTH:1"),
        (b"", b"ZTH4", b"HEALTH:1", b""),
        (b"x", b"ZTH5", b"HEALTH:1", b""),
        (*good, b"HEALTH:1", b"{}"),
        (*good, b"HEALTH:1", b"", b"ZTB5"),
        (*good, b"HEALTH:1", b"", b"ZTB5", b"token", b"body"),
        (*good, b"EXEC:1:0", b""),
        (*good, b"EXEC:1:0", b"", b"ZTB4", b"token", b"body"),
        (*good, b"EXEC:1:0", b"", b"ZTB5", b"token"),
        (*good, b"EXEC:1:0", b"", b"ZTB5", b"token", b"body", b"more"),
        (*good, b"EXEC:1:0", b"", b"ZTB5", b"", b"body"),
        (*good, b"EXEC:1:0", b"", b"ZTB5", b"t" * 513, b"body"),
        (*good, b"EXEC:1:0", b"", b"ZTB5", b"token", b"b" * 4097),
        (*good, b"EXEC:1:-1", b"", b"ZTB5", b"token", b"body"),
        (*good, b"", b""),
        (*good, b"HEALTH", b""),
        (*good, b"HEALTH:", b""),
        (*good, b"HEALTH:0", b""),
        (*good, b"HEALTH:01", b""),
        (*good, b"HEALTH:1 ", b""),
        (*good, b"HEALTH:1:2", b""),
        (*good, b"HEALTH:" + b"9" * 19, b""),
        (*good, b"health:1", b""),
        (*good, b"SHUTDOWN:1", b""),
        (*good, b"HELLO:00112233445566ff", b""),
        (*good, b"QUOTE:1:EUR:USD", b""),
        (*good, b"QUOTE:1:EUR\x00USD", b""),
        (*good, b"QUOTE:1:EUR\xffUSD", b""),
        (*good, b"QUOTE:1:" + b"E" * 200, b""),
        (*good, b"WELCOME:short", b""),
        (*good, b"WELCOME:00112233445566FF", b""),
        (*good, b"POSITIONS:1:first", b""),
        (*good, b"HISTORY:1:0:0", b""),
        (*good, b"STATUS:1:" + rid.upper()[:31] + b"G", b""),
        (*good, b"TOMBSTONE:1:" + rid, b""),
        (*good, b"TOMBSTONE:1:" + rid + b":nobody-1", b""),
        tuple(b"x" for _ in range(40)),
    ]
    with attached(tmp_path) as (terminal, hop):
        before = dropped(hop)
        for count, frames in enumerate(bad, 1):
            hop.raw(*frames)
            assert dropped(hop) == before + count, frames
        assert terminal.submissions() == []
        assert not [one for one in hop.kept if one.word == "ANSWER"]


def test_a_frame_beyond_the_bound_never_arrives_and_the_link_comes_back(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        hop.raw(b"", b"ZTH5", b"HEALTH:1", b"x" * 9_000)
        hop.expect("HELLO", 20)
        hop.expect("BEAT")
        assert terminal.submissions() == []


def altered(frames: Frames) -> list[Frames]:
    """An order changed by somebody without its key."""
    token, body = frames
    flipped = bytearray(body)
    flipped[-10] ^= 1
    parts = token.split(b":")
    no_mac = b":".join([*parts[:9], b"-", parts[10]])
    other_kid = token.replace(b"trade-1", b"reduce-1")
    stranger = token.replace(b"trade-1", b"strange-1")
    other_acct = token.replace(b":mt4:", b":mt5:")
    return [
        Frames(token, bytes(flipped)), Frames(token, b"{}"), Frames(token + b":", body),
        Frames(no_mac, body), Frames(other_kid, body), Frames(stranger, body),
        Frames(other_acct, body), Frames(b"RISK_PASS:5", body), Frames(b"\x00" * 300, body),
        Frames(b":".join([*parts[:10], b"0" * 64])[:-1], body),
    ]  # fmt: skip


def test_an_order_that_does_not_verify_gets_no_answer(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        hop.past_boot()
        good = hop.keys.sign(Op.OPEN, open_order())
        before = dropped(hop)
        for count, frames in enumerate(altered(good), 1):
            hop.say(f"EXEC:{900_000 + count}:0", frames)
            assert dropped(hop) == before + count, frames
        assert not [one for one in hop.kept if one.word in {"ANSWER", "BUSY"}]
        assert terminal.submissions() == []
        assert hop.ask("EXEC", 0, frames=good)["status"] == "FILLED"  # the control


def test_an_order_of_another_accounts_keys_gets_no_answer(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        hop.past_boot()
        stranger = Keyring()
        before = dropped(hop)
        for count, kid in enumerate(("trade-1", "reduce-1"), 1):
            hop.say(f"EXEC:{count}:0", stranger.sign(Op.CLOSE, close_order(), kid))
            assert dropped(hop) == before + count
        assert terminal.submissions() == []


def test_a_key_that_the_file_no_longer_has_opens_nothing(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        hop.past_boot()
        lost = hop.keys.sets.pop("trade-1")
        (terminal.files / "bridge.key").write_bytes(hop.keys.file(hop.endpoint))
        while "trade-1" in hop.expect("BEAT").body["kids"]:
            pass
        hop.keys.sets["trade-1"] = lost
        before = dropped(hop)
        hop.say("EXEC:1:0", hop.keys.sign(Op.OPEN, open_order()))
        assert dropped(hop) == before + 1
        assert terminal.submissions() == []


def test_busy_is_said_before_the_broker_is_called(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        hop.past_boot()
        terminal.command("slow", "OrderSend", 700)
        frames = hop.keys.sign(Op.OPEN, open_order())
        hop.say("EXEC:41:0", frames)
        busy = hop.expect("BUSY")
        assert busy.parts == ("41", frames.token.split(b":")[5].decode())
        answer = hop.expect("ANSWER")
        assert (answer.parts, answer.body["status"]) == (("41",), "FILLED")
        assert len(terminal.submissions()) == 1


def test_the_same_frames_again_get_the_stored_word(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        hop.past_boot()
        frames = hop.keys.sign(Op.OPEN, open_order())
        first = hop.ask("EXEC", 0, frames=frames)
        assert hop.ask("EXEC", 0, frames=frames) == first
        rid = frames.token.split(b":")[5].decode()
        assert hop.ask("STATUS", rid) == first
        assert hop.ask("TOMBSTONE", rid, "trade-1") == first
        assert len(terminal.submissions()) == 1


def grow_old(terminal: Terminal) -> None:
    """Let hours pass: the EA's journal is no longer young, so that absence proves something."""
    terminal.command("advance", 4 * 3_600_000)
    terminal.command("price", "EURUSD", "1.08501", "1.08513")


def buried(hop: Hop, verb: str, *parts: str, frames: Frames | None = None) -> dict[str, Any]:
    """The word about an order never seen, once the EA is sure of it (SettleSeconds)."""
    word: dict[str, Any] = {}

    def final() -> bool:
        word.update(hop.ask(verb, *parts, frames=frames))
        return bool(word["status"] != "UNKNOWN")

    wait_for(final, "it stays UNKNOWN", 20)
    return word


def test_status_and_tombstone_of_an_order_never_seen(tmp_path: Path) -> None:
    with attached(tmp_path, SettleSeconds=1) as (terminal, hop):
        hop.past_boot()
        frames = hop.keys.sign(Op.OPEN, open_order())
        rid = frames.token.split(b":")[5].decode()
        grow_old(terminal)
        assert hop.ask("STATUS", rid)["status"] == "NOT_SEEN"
        tomb = buried(hop, "TOMBSTONE", rid, "trade-1")
        assert (tomb["status"], tomb["code"]) == ("DENIED", "FENCED")
        assert hop.ask("EXEC", 0, frames=frames)["status"] == "DENIED"
        assert terminal.submissions() == []


@pytest.mark.parametrize(("op", "state"), [(Op.HALT, "HALTED"), (Op.REDUCE_ONLY, "REDUCE_ONLY")])
def test_a_stop_is_answered_with_the_state_and_shown_in_the_beat(
    tmp_path: Path, op: Op, state: str
) -> None:
    with attached(tmp_path) as (terminal, hop):
        assert hop.ask("FORWARD", frames=hop.keys.sign(op, Stop(reason="enough")))["state"] == state
        assert hop.beat()["state"] == state
        terminal.restart()
        hop.welcome()
        assert hop.beat()["state"] == state


def test_a_fence_is_answered_with_a_word(tmp_path: Path) -> None:
    with attached(tmp_path, SettleSeconds=1) as (terminal, hop):
        rid = secrets.token_hex(16)
        body = Fence(rid=rid, inc=NO_INCARNATION, iat=1_795_000_000_000, symbol="EURUSD")
        young = hop.ask("FORWARD", frames=hop.keys.sign(Op.FENCE, body))
        assert young["rid"] == rid
        assert young["status"] in {"UNKNOWN", "DENIED"}  # no false word before it is sure
        grow_old(terminal)

        def fenced() -> bool:
            now = hop.keys.sign(Op.FENCE, body, iat=hop.beat()["clock"])
            return bool(hop.ask("FORWARD", frames=now)["status"] == "DENIED")

        wait_for(fenced, "it stays UNKNOWN", 20)
        assert terminal.submissions() == []


def stop_half_way(terminal: Terminal, hop: Hop) -> None:
    """Stop an Advisor that has just connected."""
    terminal.start()
    hop.expect("HELLO")
    terminal.stop()
    hop.expect("BYE")


def test_it_stops_cleanly_before_it_was_welcomed(tmp_path: Path) -> None:
    with attached(tmp_path, up=False) as (terminal, hop):
        stop_half_way(terminal, hop)
        stop_half_way(terminal, hop)
        assert Scope.TRADE in {one.scope for one in hop.keys.sets.values()}

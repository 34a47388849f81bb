"""What it takes to say that an order never happened: absence, boot fence, tombstone, lost journal.

In doubt the answer stays UNKNOWN (promise S6).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from tests.mql4.needs import needs_compiler
from tests.mql4.trade_desk import ACCT, SETTLE_MS, TradeDesk, an_open, close

pytestmark = needs_compiler


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TradeDesk]:
    with TradeDesk(tmp_path) as made:
        yield made


def _rid(frames: Frames) -> str:
    return frames.token.split(b":")[5].decode("ascii")


# --- what absence needs -------------------------------------------------------------------


def _unknown(desk: TradeDesk) -> str:
    desk.terminal.command("fail", "OrderSend", "128")
    rid: str = desk.order(Op.OPEN, an_open())["rid"]
    return rid


def test_without_a_connection_or_on_another_account_nothing_is_absent(desk: TradeDesk) -> None:
    rid = _unknown(desk)
    desk.terminal.command("flag", "connected", 0)
    desk.settle()
    desk.settle()
    assert desk.status(rid)["status"] == "UNKNOWN"
    desk.terminal.command("flag", "connected", 1)
    desk.turn(2)
    assert desk.status(rid)["status"] == "UNKNOWN"  # one look after the blind ones is not two
    desk.settle()
    assert desk.status(rid)["code"] == "ABSENT"


def test_an_order_that_the_broker_executes_while_the_link_is_down_is_found_afterwards(
    desk: TradeDesk,
) -> None:
    desk.terminal.command("fail", "OrderSend", "128@500")
    rid = desk.order(Op.OPEN, an_open())["rid"]
    desk.turn()
    desk.terminal.command("flag", "connected", 0)
    desk.settle()
    desk.settle()
    assert desk.status(rid)["status"] == "UNKNOWN"
    desk.terminal.command("flag", "connected", 1)
    desk.settle()
    assert desk.status(rid)["status"] == "FILLED"
    assert len(desk.submitted(rid)) == 1


def test_an_unknown_outcome_raises_an_alert_at_once_and_again_after_a_restart(
    desk: TradeDesk,
) -> None:
    rid = _unknown(desk)
    assert any(rid in alert for alert in desk.alerts())
    desk.die()
    assert any(rid in alert for alert in desk.alerts())


def test_a_history_tab_that_shows_too_little_proves_no_absence(desk: TradeDesk) -> None:
    desk.advance(4 * 3_600_000)
    rid = _unknown(desk)
    desk.terminal.command("history_range", 1)
    desk.settle()
    desk.settle()
    assert desk.status(rid)["status"] == "UNKNOWN"
    desk.terminal.command("history_range", "all")
    desk.settle()
    assert desk.status(rid)["code"] == "ABSENT"


def test_two_looks_nearer_than_the_settling_time_are_not_enough(desk: TradeDesk) -> None:
    rid = _unknown(desk)
    desk.turn(5)
    desk.advance(SETTLE_MS // 2)
    desk.turn(5)
    assert desk.status(rid)["status"] == "UNKNOWN"


# --- boot fence, tombstone, lost journal --------------------------------------------------


def test_the_boot_fence_keeps_out_what_was_signed_before_the_start(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open(), ttl=10_000)
    close_of = desk.opened()["ticket"]
    late_close = desk.sign(Op.CLOSE, close(close_of), ttl=10_000)
    calls = desk.calls()
    desk.die()
    for each in (frames, late_close):
        word = desk.run(each)
        assert (word["status"], word["code"]) == ("DENIED", "FENCED")
    assert desk.calls() == calls
    assert desk.order(Op.OPEN, an_open())["status"] == "FILLED"


def test_a_fenced_order_is_unknown_while_the_broker_cannot_be_seen(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open(), ttl=10_000)
    desk.die()
    desk.terminal.command("flag", "connected", 0)
    assert desk.run(frames)["status"] == "UNKNOWN"
    assert desk.status(_rid(frames))["status"] == "UNKNOWN"
    desk.terminal.command("flag", "connected", 1)
    desk.turn()
    assert desk.status(_rid(frames))["code"] == "FENCED"


def test_a_tombstone_is_attested_with_no_order_hash_and_no_copy_passes_it(
    desk: TradeDesk,
) -> None:
    desk.advance(SETTLE_MS)
    frames = desk.sign(Op.OPEN, an_open())
    word = desk.tombstone(_rid(frames))
    assert (word["status"], word["code"]) == ("DENIED", "FENCED")
    assert (desk.record(word).order_hash, desk.record(word).kid) == ("0" * 64, "trade-1")
    assert desk.run(frames) == word
    desk.die()
    assert desk.status(_rid(frames)) == word == desk.run(frames)
    assert desk.calls() == 0


def test_a_tombstone_of_an_order_that_ran_is_its_word(desk: TradeDesk) -> None:
    word = desk.opened()
    assert desk.tombstone(word["rid"]) == word == desk.fence(word["rid"])


def test_a_tombstone_under_an_unknown_key_set_is_dropped(desk: TradeDesk) -> None:
    assert desk.ask("tombstone", secrets.token_hex(16), "trade-9") == "dropped"
    assert desk.ask("tombstone", "0" * 32, "trade-1") == "dropped"


def test_a_young_journal_signs_a_tombstone_only_after_two_looks(tmp_path: Path) -> None:
    with TradeDesk(tmp_path, {"SettleSeconds": 30}) as desk:
        rid = secrets.token_hex(16)
        assert desk.fence(rid)["status"] == "UNKNOWN"
        frames = desk.sign(Op.OPEN, an_open(), rid=rid)
        assert desk.run(frames)["status"] == "UNKNOWN"
        desk.turn(2)
        desk.advance(31_000)
        desk.turn(2)
        assert desk.status(rid)["code"] == "FENCED"
        assert desk.calls() == 0


def test_a_tombstone_on_a_new_account_needs_no_quote_while_the_market_stands_still(
    desk: TradeDesk,
) -> None:
    desk.advance(30 * 60_000)  # no quote in half an hour
    assert desk.fence(secrets.token_hex(16))["code"] == "FENCED"


def test_a_stale_fence_ends_nothing(desk: TradeDesk) -> None:
    rid = secrets.token_hex(16)
    assert desk.fence(rid, iat=desk.now_ms() - 20_000)["status"] == "NOT_SEEN"


def _lose_journal(desk: TradeDesk) -> None:
    desk.terminal.kill()
    for name in (f"bridge-{ACCT}.journal", f"bridge-{ACCT}.state"):
        (desk.terminal.files / name).unlink()
    desk.start()


def test_with_the_journal_lost_an_order_whose_tag_is_there_is_never_denied(
    desk: TradeDesk,
) -> None:
    frames = desk.sign(Op.OPEN, an_open(), ttl=10_000)
    desk.run(frames)
    _lose_journal(desk)
    assert desk.run(frames)["status"] == "UNKNOWN"
    assert desk.tombstone(_rid(frames))["status"] == "UNKNOWN"
    desk.settle()
    desk.settle()
    assert desk.status(_rid(frames))["status"] == "UNKNOWN"
    assert len(desk.submitted(_rid(frames))) == 1


def test_with_the_journal_lost_a_tombstone_looks_for_the_tag_before_it_is_signed(
    desk: TradeDesk,
) -> None:
    rid = desk.opened()["rid"]
    _lose_journal(desk)
    desk.advance(SETTLE_MS + 100)  # the journal is old enough; only the tag speaks against it
    assert desk.tombstone(rid)["status"] == "UNKNOWN"
    desk.settle()
    desk.settle()
    assert desk.tombstone(rid)["status"] == "UNKNOWN"


def test_with_the_journal_lost_what_never_ran_is_denied_after_two_looks(desk: TradeDesk) -> None:
    frames = desk.sign(Op.OPEN, an_open(), ttl=10_000)
    _lose_journal(desk)
    assert desk.run(frames)["status"] == "UNKNOWN"
    desk.settle()
    assert desk.status(_rid(frames))["code"] == "FENCED"
    assert desk.calls() == 0


def test_with_the_journal_lost_a_close_that_ran_is_never_denied(desk: TradeDesk) -> None:
    frames = desk.sign(Op.CLOSE, close(desk.opened()["ticket"]), ttl=10_000)
    assert desk.run(frames)["status"] == "FILLED"
    _lose_journal(desk)
    assert desk.run(frames)["status"] == "UNKNOWN"
    desk.settle()
    desk.settle()
    assert desk.status(_rid(frames))["status"] == "UNKNOWN"


def test_a_lost_state_file_beside_its_journal_means_halted(desk: TradeDesk) -> None:
    desk.terminal.kill()
    (desk.terminal.files / f"bridge-{ACCT}.state").unlink()
    desk.start()
    assert desk.order(Op.OPEN, an_open())["code"] == "HALTED"
    assert any("STATE_LOST" in alert for alert in desk.alerts())


# --- the disk -----------------------------------------------------------------------------


def test_a_full_disk_lets_nothing_begin_and_says_so(desk: TradeDesk) -> None:
    ticket = desk.opened()["ticket"]
    desk.terminal.command("disk", "full")
    calls = desk.calls()
    frames = desk.sign(Op.OPEN, an_open())
    word = desk.run(frames)
    assert (word["status"], word["code"]) == ("DENIED", "JOURNAL_FULL")
    assert desk.run(frames) == word
    assert desk.order(Op.CLOSE, close(ticket))["status"] == "DENIED"
    assert desk.calls() == calls
    desk.terminal.command("disk", "ok")
    desk.turn()
    assert desk.run(frames) == word
    assert desk.order(Op.CLOSE, close(ticket))["status"] == "FILLED"

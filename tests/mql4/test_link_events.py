"""What happened at the broker, told as signed events: by hand, by the market, by our orders."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from bridge_core.protocol.events import EVENT_TYPES, EventBody
from bridge_core.protocol.messages import Flatten
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import parse_request
from tests.mql4.hop import Hop, attached, learn_zone, wait_for
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import Terminal
from tests.support.builders import cancel_order, close_order, modify_order, open_order

pytestmark = needs_compiler


def hand(terminal: Terminal, *words: str | float) -> int:
    """The ticket of what somebody opens by hand."""
    ticket: int = terminal.command("manual_open", *words)["ticket"]
    return ticket


def carried_out(hop: Hop, op: Op, body: Any, status: str) -> tuple[dict[str, Any], str]:
    """The EA's word about one order of ours, and its rid."""
    hop.past_boot()
    frames = hop.keys.sign(op, body)
    token = parse_request(frames.token)
    assert token is not None
    word = hop.ask("EXEC", 0, frames=frames)
    assert word["status"] == status, word
    return word, token.rid


def test_a_position_is_told_from_opening_to_closing(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        ticket = hand(terminal, "EURUSD", "BUY", "0.10", "1.08512", "1.08000", "0")
        came = hop.event("position_opened", ticket=ticket)
        row = terminal.orders()[0]
        assert came == EventBody(
            type="position_opened", symbol="EURUSD", time=1000 * row["open_s"], ticket=ticket,
            side="BUY", volume="0.1", price="1.08512", open_price="1.08512", sl="1.08000",
            origin="foreign", server_time=came.server_time,
        )  # fmt: skip
        terminal.command("manual_modify", ticket, "1.08100", "1.09000")
        changed = hop.event("position_modified", ticket=ticket)
        assert (changed.sl, changed.tp, changed.volume) == ("1.08100", "1.09000", "0.1")
        terminal.command("swap", ticket, "-0.75")
        terminal.command("price", "EURUSD", "1.08612", "1.08624")
        terminal.command("manual_close", ticket)
        gone = hop.event("position_closed", ticket=ticket)
        closed = next(each for each in terminal.history() if each["ticket"] == ticket)
        assert gone.time == 1000 * closed["close_s"]
        assert (gone.close_price, gone.profit, gone.swap) == ("1.08612", "10.00", "-0.75")
        net = Decimal(gone.profit) + Decimal(gone.swap) + Decimal(gone.commission)
        assert Decimal(gone.net_profit) == net
        assert (gone.reason, gone.remaining_volume, gone.remaining_ticket) == ("MANUAL", "0", 0)


def test_the_market_closes_by_stop_loss_and_by_take_profit(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        stopped = hand(terminal, "EURUSD", "BUY", "0.10", "1.08512", "1.08400", "0")
        taken = hand(terminal, "EURUSD", "SELL", "0.10", "1.08500", "0", "1.08450")
        hop.event("position_opened", ticket=taken)
        terminal.command("price", "EURUSD", "1.08390", "1.08402")
        assert hop.event("position_closed", ticket=stopped).reason == "SL"
        assert hop.event("position_closed", ticket=taken).reason == "TP"


def test_a_stop_out_is_told_as_one(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        ticket = hand(terminal, "EURUSD", "BUY", "9.00")
        hop.event("position_opened", ticket=ticket)
        terminal.command("price", "EURUSD", "1.07450", "1.07462")
        assert hop.event("position_closed", ticket=ticket).reason == "STOP_OUT"


def test_a_partial_close_is_followed_to_the_rest(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        first = hand(terminal, "EURUSD", "BUY", "0.50")
        hop.event("position_opened", ticket=first)
        terminal.command("manual_close", first, "0.20")
        part = hop.event("position_closed", ticket=first)
        rest = terminal.orders()[0]
        assert (part.volume, part.remaining_volume) == ("0.2", "0.3")
        assert part.remaining_ticket == rest["ticket"]
        terminal.command("manual_close", rest["ticket"])
        end = hop.event("position_closed", ticket=rest["ticket"])
        assert (end.volume, end.remaining_volume) == ("0.3", "0")
        hop.expect("BEAT")
        assert not [one for one in hop.events if one.body.type == "position_opened"]


def test_what_happens_between_two_looks_is_still_told(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        hop.expect("BEAT")
        first = hand(terminal, "EURUSD", "BUY", "0.50")
        terminal.command("manual_close", first, "0.20")
        rest = terminal.orders()[0]["ticket"]
        terminal.command("manual_close", rest)
        hop.event("position_opened", ticket=first)
        hop.event("position_closed", ticket=first, remaining_ticket=rest)
        hop.event("position_closed", ticket=rest)
        hop.expect("BEAT")
        assert not [one for one in hop.events if one.body.type != "account_update"]


def test_a_pending_order_is_told_until_it_is_gone(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        ticket = hand(terminal, "EURUSD", "BUY_LIMIT", "0.10", "1.08000", "1.07500", "0")
        placed = hop.event("order_placed", ticket=ticket)
        assert (placed.order, placed.side, placed.price) == (ticket, "BUY_LIMIT", "1.08000")
        assert (placed.sl, placed.message, placed.origin) == ("1.07500", "", "foreign")
        terminal.command("manual_modify", ticket, "1.07500", "0", "1.08100")
        moved = hop.event("order_placed", ticket=ticket)
        assert (moved.price, moved.message) == ("1.08100", "modified")
        terminal.command("manual_delete", ticket)
        assert hop.event("order_cancelled", ticket=ticket).side == "BUY_LIMIT"


def test_a_pending_order_that_fires_opens_a_position(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        ticket = hand(terminal, "EURUSD", "BUY_LIMIT", "0.10", "1.08000")
        hop.event("order_placed", ticket=ticket)
        terminal.command("price", "EURUSD", "1.07980", "1.07992")
        opened = hop.event("position_opened", ticket=ticket)
        assert (opened.order, opened.side) == (ticket, "BUY")
        hop.expect("BEAT")
        assert not [one for one in hop.events if one.body.type.startswith("order_")]


def test_an_order_of_ours_is_ours_in_every_event(tmp_path: Path) -> None:
    with attached(tmp_path) as (_terminal, hop):
        body = open_order("BUY", "0.30", client_order_id="mine-1", comment="Strategy_v1")
        word, rid = carried_out(hop, Op.OPEN, body, "FILLED")
        ours: dict[str, Any] = {
            "rid": rid, "client_order_id": "mine-1", "origin": "ours", "comment": "Strategy_v1",
            "magic": make_tag(hop.keys.acct, rid).mt4_magic,
        }  # fmt: skip
        hop.event("position_opened", ticket=word["ticket"], **ours)
        change = modify_order(word["ticket"], price="0", sl="1.08000", tp="0", old_sl="0",
                              old_tp="0", expiration=0)  # fmt: skip
        carried_out(hop, Op.MODIFY, change, "DONE")
        hop.event("position_modified", ticket=word["ticket"], sl="1.08000", **ours)
        part, _rid = carried_out(hop, Op.CLOSE, close_order(word["ticket"], "0.10"), "FILLED")
        rest = part["remaining_ticket"]
        hop.event("position_closed", ticket=word["ticket"], reason="OURS", remaining_ticket=rest,
                  remaining_volume="0.2", **ours)  # fmt: skip
        carried_out(hop, Op.CLOSE, close_order(rest), "FILLED")
        hop.event("position_closed", ticket=rest, reason="OURS", **ours)
        assert {row["reason"] for row in hop.ask("HISTORY", 0, 0, 1)["closed"]} == {"OURS"}
        found = hop.ask("TAG", ours["magic"])
        assert {row["ticket"] for row in found["closed"]} == {word["ticket"], rest}


def test_ours_is_known_after_a_restart_too(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        body = open_order("BUY", "0.10", client_order_id="mine-2")
        word, rid = carried_out(hop, Op.OPEN, body, "FILLED")
        limit = open_order("BUY_LIMIT", "0.10", price="1.08000", client_order_id="mine-3")
        order, _rid = carried_out(hop, Op.OPEN, limit, "WORKING")
        terminal.kill()
        terminal.start()
        hop.welcome()
        carried_out(hop, Op.CANCEL, cancel_order(order["ticket"]), "DONE")
        hop.event("order_cancelled", ticket=order["ticket"], client_order_id="mine-3")
        terminal.command("manual_close", word["ticket"])
        gone = hop.event("position_closed", ticket=word["ticket"])
        assert (gone.rid, gone.client_order_id, gone.reason) == (rid, "mine-2", "MANUAL")


def test_a_flatten_closes_as_ours(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        ticket = hand(terminal, "EURUSD", "SELL", "0.10")
        hop.event("position_opened", ticket=ticket, origin="foreign")
        flatten = Flatten(
            client_order_id="f-1", client="atlas", scope="ALL", symbol="", reason="the end"
        )
        hop.past_boot()
        word = hop.ask("EXEC", ticket, frames=hop.keys.sign(Op.FLATTEN, flatten))
        assert word["status"] == "FILLED"
        assert hop.event("position_closed", ticket=ticket).reason == "OURS"


def test_an_expired_order_is_told_as_expired(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        zone_ms = learn_zone(terminal, hop)
        at = hop.ask("ACCOUNT")["market_ms"] // 1000 * 1000 + 900_000
        body = open_order("BUY_LIMIT", "0.10", price="1.08000", expiration=at)
        word, _rid = carried_out(hop, Op.OPEN, body, "WORKING")
        hop.event("order_placed", ticket=word["ticket"], expiration=at)
        assert terminal.orders()[0]["expiration_s"] * 1000 == at + zone_ms
        terminal.command("advance", 901_000)
        terminal.command("price", "EURUSD", "1.08501", "1.08513")
        assert hop.event("order_expired", ticket=word["ticket"]).origin == "ours"


def test_money_that_changed_is_told_at_most_once_a_second(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        hand(terminal, "EURUSD", "BUY", "0.10")
        for step in range(20):
            terminal.command("price", "EURUSD", f"1.0860{step % 10}", "1.08624")
            hop.read(0.05)
        hop.expect("BEAT")
        hop.expect("BEAT")
        told = [one.body for one in hop.events if one.body.type == "account_update"]
        assert 1 <= len(told) <= 5
        money = hop.ask("ACCOUNT")
        last = told[-1]
        assert (last.balance, last.equity) == (money["balance"], money["equity"])
        assert (last.margin, last.free_margin) == (money["margin"], money["free_margin"])
        terminal.command("deposit", 500)
        wait_for(lambda: hop.event("account_update").balance == "10500.00", "the deposit is money")


def test_numbers_run_without_a_gap_and_heartbeats_take_none(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        for _ in range(5):
            ticket = hand(terminal, "EURUSD", "BUY", "0.10")
            hop.event("position_opened", ticket=ticket)
            terminal.command("manual_close", ticket)
            hop.event("position_closed", ticket=ticket)
        stream = f"ea-{hop.instances[-1]}"
        beats = len(hop.heartbeats)

        def numbers() -> list[int]:
            return sorted(one.seq for one in hop.tokens if one.stream == stream)

        def told_last() -> bool:  # an account_update may follow the heartbeat just taken
            hop.expect("BEAT")
            return len(hop.heartbeats) > beats and hop.heartbeats[-1].token.seq == numbers()[-1]

        wait_for(told_last, "no heartbeat that knows the last number")
        last, seen = hop.heartbeats[-1], numbers()
        assert seen == list(range(1, len(seen) + 1))
        assert last.token.stream == stream
        assert last.token.seq == seen[-1] == hop.beat()["seq"]
        assert [(each.stream, each.seq) for each in last.body.streams] == [(stream, seen[-1])]
        assert last.body.state == "ACTIVE"
        assert {one.body.type for one in hop.events} <= set(EVENT_TYPES)


def test_events_that_nobody_could_hear_leave_a_gap(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        before = hop.beat()["seq"]
        hop.die()
        terminal.wait_for(lambda: any("is down" in line for line in terminal.prints))
        ticket = hand(terminal, "EURUSD", "BUY", "0.10")
        terminal.command("advance", 1000)
        hop.rise()
        assert hop.welcome().body["seq"] > before
        terminal.command("manual_close", ticket)
        hop.event("position_closed", ticket=ticket)
        assert min(one.seq for one in hop.tokens if one.seq > before) > before + 1


def test_what_was_there_at_the_start_is_no_event(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        ticket = hand(terminal, "EURUSD", "BUY", "0.10")
        other = hand(terminal, "EURUSD", "BUY", "0.10")
        terminal.command("manual_close", other)
        terminal.command("reinit", 3)
        hop.expect("BYE")
        hop.welcome()
        hop.events.clear()
        hop.expect("BEAT")
        hop.expect("BEAT")
        assert hop.events == []
        terminal.command("manual_close", ticket)
        assert hop.event("position_closed").ticket == ticket


def test_a_row_that_left_the_history_is_told_without_figures(tmp_path: Path) -> None:
    with attached(tmp_path) as (terminal, hop):
        ticket = hand(terminal, "EURUSD", "BUY", "0.10")
        hop.event("position_opened", ticket=ticket)
        terminal.command("history_range", 0)
        terminal.command("manual_close", ticket)
        terminal.command("advance", 3_000)
        gone = hop.event("position_closed", ticket=ticket)
        if gone.close_price == "0":
            assert gone.code == "NOT_SEEN"
            assert "history" in gone.message

"""Stops, RESUME, FENCE, FLATTEN and the completion of what the server denied by itself."""

from __future__ import annotations

import secrets

import msgspec

from bridge_core.protocol.chain import GENESIS, Head, verify_range
from bridge_core.protocol.messages import Flatten, Resume
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import order_hash
from bridge_core.protocol.tag import child_rid
from bridge_core.protocol.token import NO_INCARNATION, parse_request
from tests.support.ea_account import EaHouse
from tests.support.fake_ea_faults import no_record
from tests.support.raw_client import Answer, RawClient, now_ms, open_body
from tests.support.running import wait_until


def _resume(client: RawClient, cause: str = "OPERATOR") -> Answer:
    return client.do(Op.RESUME, Resume(cause=cause, reason="checked"))


def _state(house: EaHouse) -> str:
    return house.ea.desk.state.state


# --- stops -----------------------------------------------------------------------------------


def test_a_halt_reaches_the_ea_and_an_operators_resume_ends_it_on_both_sides(
    house: EaHouse,
) -> None:
    server, client = house.ready()
    assert client.stop(Op.HALT).status == "OK"
    wait_until(lambda: _state(house) == "HALTED")
    operator = server.client("operator")
    answer = _resume(operator)
    assert (answer.status, answer.order().evidence) == ("DONE", "EA"), answer.order()
    assert house.record_of(answer.order()).op == "RESUME"
    assert _state(house) == "ACTIVE"
    wait_until(lambda: client.hello().state == "ACTIVE")
    assert client.open().status == "FILLED"


def test_a_halt_while_the_ea_is_away_is_delivered_when_it_comes(house: EaHouse) -> None:
    _, client = house.ready()
    house.ea.kill()
    assert client.stop(Op.HALT).status == "OK"  # it holds here at once
    assert client.hello().state == "HALTED"
    house.ea.start()
    wait_until(lambda: _state(house) == "HALTED", 8)


def test_a_halt_that_was_not_acknowledged_survives_the_servers_restart(house: EaHouse) -> None:
    server, client = house.ready()
    house.ea.kill()
    client.stop(Op.REDUCE_ONLY)
    server.stop()
    house.ea.start()
    house.serve()
    wait_until(lambda: _state(house) == "REDUCE_ONLY", 8)


def test_a_halt_whose_acknowledgement_is_lost_is_repeated_until_one_comes(house: EaHouse) -> None:
    server, client = house.ready()
    house.ea.faults.drop("ANSWER", 1)
    client.stop(Op.HALT)
    wait_until(lambda: server.server.context.journal.meta("ea_stops") == "{}", 10)
    assert _state(house) == "HALTED"


def test_an_old_halt_does_not_come_back_after_the_operators_resume(house: EaHouse) -> None:
    server, client = house.ready()
    house.ea.faults.lies.append(lambda word, _: word)
    client.stop(Op.HALT)
    wait_until(lambda: _state(house) == "HALTED")
    assert _resume(server.client("operator")).status == "DONE"
    house.ea.hang_up()
    wait_until(lambda: client.open().status == "FILLED", 8)
    assert _state(house) == "ACTIVE"


def test_a_resume_without_the_eas_word_ends_nothing(house: EaHouse) -> None:
    server, client = house.ready()
    client.stop(Op.HALT)
    wait_until(lambda: _state(house) == "HALTED")
    operator = server.client("operator")
    house.ea.faults.lies.append(no_record)
    frames = operator.sign(Op.RESUME, Resume(cause="OPERATOR", reason="checked"), ttl=500)
    answer = operator.ask(frames, 10_000)
    assert answer.status in ("UNKNOWN", "PENDING")
    assert client.hello().state == "HALTED"
    house.ea.faults.lies.clear()
    house.attested(operator, answer.token.rid)
    wait_until(lambda: client.hello().state == "ACTIVE")


def test_a_resume_of_nothing_is_denied_and_reaches_nobody(house: EaHouse) -> None:
    server, _ = house.ready()
    answer = _resume(server.client("operator"))
    assert (answer.status, answer.code) == ("DENIED", "NOT_LATCHED")


# --- FLATTEN ---------------------------------------------------------------------------------


def test_a_flatten_closes_everything_and_every_part_of_it_is_attested(house: EaHouse) -> None:
    _, client = house.ready()
    first = client.open().order()
    second = client.open(type="BUY_LIMIT", price="1.08000").order()
    body = Flatten(
        client_order_id=secrets.token_hex(8), client="raw", scope="ALL", symbol="", reason="end"
    )
    frames = client.sign(Op.FLATTEN, body)
    answer = client.ask(frames)
    view = answer.order()
    assert (answer.status, view.evidence) == ("DONE", "EA"), view
    token = parse_request(frames.token)
    assert token is not None
    assert house.record_of(view).order_hash == order_hash(frames, token)
    assert {one.ticket for one in view.children} == {first.ticket, second.ticket}
    for child in view.children:
        assert child.rid == child_rid(view.rid, child.ticket)
        row = client.status(child.rid).subject()
        record = house.record_of(row)
        assert (record.rid, record.order_hash) == (child.rid, order_hash(frames, token))
        assert (child.ea, child.ea_mac) == (row.ea, row.ea_mac)
    assert not house.broker.market.open
    assert not house.broker.market.pending


def test_a_flatten_of_nothing_has_the_eas_word_too(house: EaHouse) -> None:
    _, client = house.ready()
    answer = client.flatten()
    assert answer.status == "DONE", answer.order()
    house.record_of(answer.order())


def test_a_flattens_lost_child_is_asked_for_and_the_flatten_concluded(house: EaHouse) -> None:
    _, client = house.ready()
    client.open()
    house.ea.faults.die("after_call")
    frames_rid = client.flatten().token.rid
    house.ea.wait_dead()
    house.ea.restart()
    view = house.attested(client, frames_rid, 15)
    assert view.status == "DONE"
    assert [child.status for child in view.children] == ["FILLED"]
    assert not house.broker.market.open


def test_a_flatten_whose_ea_died_in_between_waits_for_its_word_about_the_whole(
    house: EaHouse,
) -> None:
    _, client = house.ready()
    for _ in range(3):
        client.open()
    house.ea.faults.die("after_reply")  # of the first ticket, or of a question before it
    rid = client.flatten().token.rid
    house.ea.wait_dead()

    def children() -> list[str]:
        return sorted(child.status for child in client.status(rid).subject().children)

    wait_until(lambda: set(children()) <= {"FILLED", "DENIED"}, 15)
    assert client.status(rid).subject().status in ("PENDING", "UNKNOWN")
    house.ea.restart()
    view = house.attested(client, rid, 15)
    seen = "FILLED" in children()
    assert (view.status, view.code) == (
        ("PARTIAL", "CHILD_FAILED") if seen else ("DENIED", "FENCED")
    )
    assert len(house.broker.market.open) == children().count("DENIED")


# --- FENCE and TOMBSTONE -----------------------------------------------------------------------


def test_a_fence_of_an_unseen_order_brings_the_eas_record(house: EaHouse) -> None:
    _, client = house.ready()
    frames = client.sign(Op.OPEN, open_body())
    rid = frames.token.split(b":")[5].decode()
    answer = client.fence(rid, client.inc, now_ms())
    view = answer.subject()
    assert (answer.status, view.status, view.code) == ("OK", "DENIED", "FENCED")
    assert house.record_of(view).order_hash == "0" * 64
    assert answer.token.mac_ea == view.ea_mac
    assert client.ask(frames).status == "DENIED"
    assert not house.broker.begun()


def test_a_fence_of_an_order_of_an_earlier_run_ends_by_the_eas_word(house: EaHouse) -> None:
    _, client = house.ready()
    rid = secrets.token_hex(16)
    client.fence(rid, "ab" * 8, now_ms() - 60_000)
    assert house.attested(client, rid).status == "DENIED"


def test_a_fence_of_an_order_that_ran_says_that_it_ran(house: EaHouse) -> None:
    _, client = house.ready()
    opened = client.open().order()
    view = client.fence(opened.rid, client.inc, now_ms()).subject()
    assert (view.status, view.ea) == ("FILLED", opened.ea)


def test_a_fence_is_answered_also_while_the_ea_is_away(house: EaHouse) -> None:
    server, client = house.ready()
    house.ea.kill()
    wait_until(lambda: not server.ea.link.alive(), 12)
    rid = secrets.token_hex(16)
    view = client.fence(rid, client.inc, now_ms()).subject()
    assert (view.status, view.ea) == ("DENIED", "")
    house.ea.start()
    assert house.attested(client, rid, 12).status == "DENIED"


def test_what_the_server_denied_is_buried_at_the_ea_and_the_record_comes_later(
    house: EaHouse,
) -> None:
    _, client = house.ready()
    frames = client.sign(Op.OPEN, open_body(volume="5"))
    answer = client.ask(frames)
    assert (answer.status, answer.code) == ("DENIED", "MAX_VOLUME")
    view = house.attested(client, answer.token.rid)
    assert (view.code, view.by, view.evidence) == ("MAX_VOLUME", "server", "EA")
    again = client.ask(frames)
    assert (again.order().ea, again.token.mac_ea) == (view.ea, view.ea_mac)
    word = house.ea.desk.execute(frames, 0, lambda _rid: None)
    assert word is not None
    assert word["status"] == "DENIED"
    assert not house.broker.begun()


def test_what_was_denied_while_the_ea_was_away_is_buried_after_a_restart_of_the_server(
    house: EaHouse,
) -> None:
    server, client = house.ready()
    house.ea.kill()
    wait_until(lambda: not server.ea.link.alive(), 12)
    rid = client.open().token.rid
    server.stop()
    house.ea.start()
    fresh = house.serve().client()
    assert house.attested(fresh, rid, 12).status == "DENIED"


def test_a_halt_needs_no_incarnation_here_either(house: EaHouse) -> None:
    _, client = house.ready()
    client.inc = NO_INCARNATION
    assert client.stop(Op.HALT).status == "OK"
    wait_until(lambda: _state(house) == "HALTED")


def test_an_order_that_ran_past_the_server_is_told_as_the_ea_says_and_halts_the_account(
    house: EaHouse,
) -> None:
    _, client = house.ready()
    frames = client.sign(Op.OPEN, open_body(volume="5"))
    ran = house.ea.desk.execute(frames, 0, lambda _rid: None)  # somebody else handed it over
    assert ran is not None
    assert ran["status"] == "FILLED"
    answer = client.ask(frames)
    assert answer.code == "MAX_VOLUME"
    view = house.attested(client, answer.token.rid)
    assert house.record_of(view).status == "FILLED"
    wait_until(lambda: "GHOST_FILL" in {one.cause for one in client.health().causes})
    assert client.hello().state == "HALTED"
    assert house.broker.begun() == 1


def test_the_record_of_a_late_word_is_in_the_log_and_the_log_still_holds(house: EaHouse) -> None:
    server, client = house.ready()
    rid = client.open(volume="5").token.rid
    house.attested(client, rid)
    journal = server.server.context.journal
    rows = journal.log_rows(1, 500)
    mine = [msgspec.json.decode(raw) for _, raw, _ in rows if rid.encode() in raw]
    assert [one["kind"] for one in mine] == ["ORDER", "EA"]
    assert verify_range(Head(0, GENESIS), rows) == journal.head

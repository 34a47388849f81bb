"""The connector against a scripted server over real sockets: protocol.md's rules, by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bridge_client import (
    BridgeError,
    ConfigError,
    Connector,
    LocalProtocolError,
    OrderResult,
    Status,
    TransportError,
)
from bridge_client.link import read_clocks
from bridge_client.settings import load_settings
from bridge_client.witness import Now
from bridge_core.host.keyfiles import random_key
from bridge_core.protocol import limits
from bridge_core.protocol import messages as m
from bridge_core.protocol.operations import Op, Scope
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames, order_hash, request_hash
from bridge_core.protocol.token import EaRecord, RequestToken, parse_request
from tests.support.fake_server import (
    Delay,
    Drop,
    FakeServer,
    Instead,
    Kit,
    Lose,
    Twice,
    make_kit,
)
from tests.support.running import wait_until


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path / "connector")


@pytest.fixture
def server(kit: Kit) -> Iterator[FakeServer]:
    with FakeServer(kit) as running:
        yield running


@pytest.fixture
def bridge(server: FakeServer, kit: Kit) -> Iterator[Connector]:
    with Connector.from_config(kit.config, client="atlas") as made:
        made.connect()
        yield made


def opened(server: FakeServer) -> list[Frames]:
    return [frames for op, frames in server.seen if op is Op.OPEN]


def pending(token: RequestToken, body: m.Request) -> OrderView:
    return OrderView(
        rid=token.rid, op=token.op, status="PENDING",
        client_order_id=getattr(body, "client_order_id", ""),
    )  # fmt: skip


def denied_here(result: OrderResult, code: str) -> None:
    assert (result.status, result.code, result.by) == ("DENIED", code, "connector")


# --- rule 0 ----------------------------------------------------------------------------------


def test_rule_0_without_a_connection_nothing_is_signed_or_journaled(kit: Kit) -> None:
    with Connector.from_config(kit.config, client="atlas") as bridge:
        denied_here(bridge.buy("EURUSD", 0.01, wait=0.3), "NO_CONNECTION")
        assert bridge.unfinished() == []
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas") as bridge:
        time.sleep(0.3)
        assert opened(server) == []
        assert bridge.buy("EURUSD", 0.01).status is Status.FILLED


def test_rule_0_hello_is_said_on_every_new_connection_before_a_trade_is_signed(
    server: FakeServer, bridge: Connector
) -> None:
    bridge.buy("EURUSD", 0.01)
    before = server.count(Op.HELLO)
    server.restart()
    assert bridge.buy("EURUSD", 0.01, wait=10).status is Status.FILLED
    assert server.count(Op.HELLO) > before
    token = parse_request(opened(server)[-1].token)
    assert token is not None
    assert token.inc == server.inc


def test_rule_0_a_server_that_refuses_our_key_is_no_connection(tmp_path: Path, kit: Kit) -> None:
    stranger = make_kit(tmp_path / "other")
    stranger.port = kit.port
    with FakeServer(stranger), Connector.from_config(kit.config, client="atlas") as bridge:
        denied_here(bridge.buy("EURUSD", 0.01, wait=0.5), "NO_CONNECTION")
        with pytest.raises(TransportError):
            bridge.ping(timeout=0.3)


# --- rule 1 ----------------------------------------------------------------------------------


def test_rule_1_a_dropped_reply_makes_it_send_the_identical_bytes(
    server: FakeServer, bridge: Connector
) -> None:
    server.fault(Op.OPEN, Drop(), Drop())
    assert bridge.buy("EURUSD", 0.01).status is Status.FILLED
    copies = opened(server)
    assert len(copies) >= 3
    assert len(set(copies)) == 1
    assert len(server.executed) == 1


def test_rule_1_a_request_that_never_arrived_is_repeated(
    server: FakeServer, bridge: Connector
) -> None:
    server.fault(Op.OPEN, Lose())
    assert bridge.buy("EURUSD", 0.01).status is Status.FILLED
    assert len(server.executed) == 1


def test_rule_1_duplicate_and_late_replies_change_nothing(
    server: FakeServer, bridge: Connector
) -> None:
    server.fault(Op.OPEN, Twice(), Delay(0.7))
    one, two = bridge.buy("EURUSD", 0.01), bridge.buy("EURUSD", 0.02)
    three = bridge.buy("EURUSD", 0.03)
    assert [r.volume for r in (one, two, three)] == [0.01, 0.02, 0.03]
    assert len(server.executed) == 3


def test_rule_1_pending_is_followed_by_questions_and_the_result_comes_by_wait(
    server: FakeServer, bridge: Connector
) -> None:
    server.decide = pending
    result = bridge.buy("EURUSD", 0.01, wait=2)
    assert result.status is Status.PENDING
    assert server.count(Op.OPEN) == 1
    server.finish(result.rid, status="FILLED", ticket=7)
    done = bridge.wait(result, timeout=6)
    assert (done.status, done.ticket) == ("FILLED", 7)
    assert server.count(Op.OPEN) == 1


def test_a_disconnect_makes_it_repeat_at_once_and_the_stored_reply_counts(
    server: FakeServer, bridge: Connector
) -> None:
    server.fault(Op.OPEN, Drop())
    inc = server.inc
    results: list[OrderResult] = []
    thread = threading.Thread(target=lambda: results.append(bridge.buy("EURUSD", 0.01)))
    thread.start()
    while not server.executed:
        time.sleep(0.005)
    server.stop()
    server.inc = inc
    server.start()
    thread.join(10)
    assert results[0].status is Status.FILLED
    assert len(server.executed) == 1


# --- rule 2 and 3 -------------------------------------------------------------------------------


@pytest.fixture
def quick(kit: Kit, server: FakeServer) -> Iterator[Connector]:
    text = kit.config.read_text()
    kit.config.write_text("ttl_ms = 300\n" + text)
    with Connector.from_config(kit.config, client="atlas") as made:
        made.connect()
        yield made


def test_rule_2_what_never_arrived_is_fenced_after_its_deadline_and_denied(
    server: FakeServer, quick: Connector
) -> None:
    server.fault(Op.OPEN, Lose(), Lose(), Lose(), Lose())
    result = quick.buy("EURUSD", 0.01, wait=5)
    assert (result.status, result.code) == ("DENIED", "FENCED")
    assert server.executed == []
    assert server.count(Op.FENCE) >= 1
    assert len(set(opened(server))) == 1


def test_rule_2_an_order_that_ran_is_found_by_questions_however_many_replies_are_lost(
    server: FakeServer, quick: Connector
) -> None:
    server.fault(Op.OPEN, *[Drop()] * 4)
    server.fault(Op.GET_STATUS, Drop(), Drop())
    assert quick.buy("EURUSD", 0.01, wait=8).status is Status.FILLED
    assert len(server.executed) == 1


def test_rule_2_unknown_is_returned_after_wait_and_never_a_failure(
    server: FakeServer, bridge: Connector
) -> None:
    server.fault(Op.OPEN, *[Drop()] * 4)
    result = bridge.buy("EURUSD", 0.01, wait=0.2)
    assert result.status is Status.UNKNOWN
    with pytest.raises(BridgeError):
        result.raise_for_status()
    assert bridge.wait(result, timeout=8).status is Status.FILLED


def test_rule_3_replace_sends_only_after_a_proven_death(
    server: FakeServer, bridge: Connector
) -> None:
    server.decide = pending
    old = bridge.buy("EURUSD", 0.01, wait=1)
    server.decide = server._execute
    server.finish(old.rid, status="FILLED", ticket=9)
    kept = bridge.replace(old, "EURUSD", "BUY", 0.02)
    assert (kept.rid, kept.status) == (old.rid, "FILLED")
    assert server.executed == []
    server.fault(Op.OPEN, *[Lose()] * 4)
    lost = bridge.buy("EURUSD", 0.01, wait=0.1)
    server.faults.clear()
    server.stop()
    server.start()
    new = bridge.replace(lost, "EURUSD", "BUY", 0.02)
    assert new.status is Status.FILLED
    assert new.rid != lost.rid or new.volume == 0.01


# --- rule 4 ----------------------------------------------------------------------------------


def test_rule_4_after_a_restart_its_symbol_takes_no_entries_until_the_row_is_final(
    server: FakeServer, kit: Kit
) -> None:
    server.decide = pending
    with Connector.from_config(kit.config, client="atlas") as bridge:
        left = bridge.buy("EURUSD", 0.01, wait=2, client_order_id="one")
        assert left.status is Status.PENDING
    server.decide = server._execute
    with Connector.from_config(kit.config, client="atlas") as bridge:
        bridge.connect()
        assert [r.client_order_id for r in bridge.unfinished()] == ["one"]
        denied_here(bridge.buy("EURUSD", 0.01), "UNFINISHED")
        assert bridge.buy("GBPUSD", 0.01).status is Status.FILLED
        assert bridge.flatten("test").status is Status.DONE
        server.finish(left.rid, status="FILLED", ticket=5)
        assert bridge.wait("one", timeout=6).ticket == 5
        assert bridge.buy("EURUSD", 0.01).status is Status.FILLED


# --- rule 5 ----------------------------------------------------------------------------------


def test_rule_5_after_another_incarnation_a_present_row_tells_its_truth(
    server: FakeServer, bridge: Connector
) -> None:
    server.fault(Op.OPEN, *[Drop()] * 4)
    result = bridge.buy("EURUSD", 0.01, wait=1)
    server.restart()
    server.faults.clear()
    assert bridge.wait(result, timeout=8).status is Status.FILLED
    assert len(server.executed) == 1


def test_rule_5_after_another_incarnation_an_absent_row_is_fenced(
    server: FakeServer, quick: Connector
) -> None:
    server.fault(Op.OPEN, *[Drop()] * 4)
    result = quick.buy("EURUSD", 0.01, wait=0.1)
    server.restart(forget=True)
    server.faults.clear()
    done = quick.wait(result, timeout=8)
    assert (done.status, done.code) == ("DENIED", "FENCED")


# --- rule 6 ----------------------------------------------------------------------------------


def test_rule_6_a_fork_blocks_entries_only_and_outlives_a_restart(
    server: FakeServer, kit: Kit
) -> None:
    with Connector.from_config(kit.config, client="atlas") as bridge:
        held = bridge.buy("EURUSD", 0.01)
        bridge.buy("EURUSD", 0.01)
        server.log[-1] = (b"{}", bytes(32))
        bridge.ping()
        denied_here(bridge.buy("EURUSD", 0.01), "LOG_FORK")
        assert bridge.modify_position(held, sl=1).status is Status.DONE
        assert bridge.close_position(held).status is Status.FILLED
        assert bridge.health().latches == ("LOG_FORK",)
    with Connector.from_config(kit.config, client="atlas") as bridge:
        denied_here(bridge.buy("EURUSD", 0.01), "LOG_FORK")
        bridge.accept_log()
        assert bridge.buy("EURUSD", 0.01).status is Status.FILLED


def test_rule_6_a_rolled_back_record_is_noticed_by_the_next_hello(
    server: FakeServer, kit: Kit
) -> None:
    with Connector.from_config(kit.config, client="atlas") as bridge:
        for _ in range(3):
            bridge.buy("EURUSD", 0.01)
    server.log = server.log[:1]
    with Connector.from_config(kit.config, client="atlas") as bridge:
        denied_here(bridge.buy("EURUSD", 0.01), "LOG_FORK")


# --- rule 7 ----------------------------------------------------------------------------------


def _word(kit: Kit, token: RequestToken, frames: Frames, **change: Any) -> tuple[str, str]:
    from bridge_core.protocol.operations import Purpose
    from bridge_core.protocol.signing import ea_record_mac

    made = EaRecord(
        "c1", "demo", token.rid, token.op, order_hash(frames, token), "FILLED", "-", 77, "0.01",
        "1.2", "0", "0", 1_700_000_000_000,
    )._replace(**change)  # fmt: skip
    key = kit.bundle.key_set().keys[Purpose.REPLY_EA]
    return made.text().decode(), ea_record_mac(key, made.text())


def test_rule_7_denied_without_the_eas_record_is_told_at_once_and_replace_refuses(
    tmp_path: Path,
) -> None:
    kit = make_kit(tmp_path / "ea", ea=True)
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas") as bridge:
        server.decide = lambda token, body: replace(
            pending(token, body), status="DENIED", code="HALTED", final=True
        )
        started = time.monotonic()
        result = bridge.buy("EURUSD", 0.01)
        assert (result.status, result.attested) == ("DENIED", False)
        assert time.monotonic() - started < 4
        assert [r.rid for r in bridge.unfinished()] == [result.rid]
        again = bridge.replace(result, "EURUSD", "BUY", 0.02)
        assert (again.rid, again.attested) == (result.rid, False)
        assert server.count(Op.OPEN) == 1
        frames = opened(server)[0]
        token = parse_request(frames.token)
        assert token is not None
        text, mac = _word(kit, token, frames, status="DENIED", code="HALTED", ticket=0)
        server.finish(result.rid, ea=text, ea_mac=mac)
        until = time.monotonic() + 8
        while bridge.unfinished() and time.monotonic() < until:
            time.sleep(0.05)
        assert bridge.order_status(result).attested


def test_on_an_ea_account_a_fill_without_the_eas_word_is_unknown_until_it_comes(
    tmp_path: Path,
) -> None:
    kit = make_kit(tmp_path / "ea", ea=True)
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas") as bridge:
        result = bridge.buy("EURUSD", 0.01, wait=2)
        assert (result.status, result.code) == ("UNKNOWN", "SERVER_LIED")
        frames = opened(server)[0]
        token = parse_request(frames.token)
        assert token is not None
        text, mac = _word(kit, token, frames)
        server.finish(result.rid, ea=text, ea_mac=mac)
        done = bridge.wait(result, timeout=8)
        assert (done.status, done.ticket, done.price) == ("FILLED", 77, 1.2)


# --- replies that are not ours --------------------------------------------------------------------


def _forgeries(server: FakeServer, token: RequestToken, reply: Frames) -> list[Frames]:
    other = replace(server.kit.bundle, root=random_key().hex())
    keys, server.keys = server.keys, other.key_set()
    frames = opened(server)[-1]
    lie = OrderView(rid=token.rid, op="OPEN", status="REJECTED", final=True)
    forged = server.sign(token, frames, "REJECTED", "BROKER_REJECTED", lie)
    server.keys = keys
    changed = Frames(reply.token, reply.body.replace(b"FILLED", b"DENIED"))
    status = Frames(reply.token.replace(b":FILLED:", b":DENIED:"), reply.body)
    return [forged, changed, status, Frames(frames.token, frames.body), Frames(b"", b""), reply]


def test_forged_altered_and_reflected_replies_have_no_effect(
    server: FakeServer, bridge: Connector
) -> None:
    server.fault(Op.OPEN, Instead(_forgeries))
    assert bridge.buy("EURUSD", 0.01).status is Status.FILLED
    assert server.count(Op.OPEN) == 1


def test_the_reply_of_one_request_is_never_returned_for_another(
    server: FakeServer, bridge: Connector
) -> None:
    kept: list[Frames] = []

    def keep(_s: FakeServer, _t: RequestToken, reply: Frames) -> list[Frames]:
        kept.append(reply)
        return [reply]

    def swap(_s: FakeServer, token: RequestToken, reply: Frames) -> list[Frames]:
        old = parse_request(opened(server)[0].token)
        assert old is not None
        # the stored reply of A with B's rid written in, and A's reply as it is
        renamed = kept[0].token.replace(old.rid.encode(), token.rid.encode())
        return [kept[0], Frames(renamed, kept[0].body), reply]

    server.fault(Op.OPEN, Instead(keep), Instead(swap))
    one, two = bridge.buy("EURUSD", 0.01), bridge.buy("EURUSD", 0.02)
    assert (one.volume, two.volume) == (0.01, 0.02)
    assert one.rid != two.rid


def test_after_a_timeout_and_a_healthy_server_the_next_call_works(
    server: FakeServer, bridge: Connector
) -> None:
    server.fault(Op.PING, *[Lose()] * 4)
    with pytest.raises(TransportError):
        bridge.ping(timeout=0.2)
    server.faults.clear()
    assert bridge.ping(timeout=8).ms > 0
    server.stop()
    with pytest.raises(TransportError):
        bridge.ping(timeout=0.3)
    server.start()
    assert bridge.ping(timeout=8).ms > 0
    assert bridge.buy("EURUSD", 0.01).status is Status.FILLED


def test_three_seconds_of_silence_replace_the_socket(server: FakeServer, bridge: Connector) -> None:
    server.fault(Op.PING, *[Lose()] * 8)
    with pytest.raises(TransportError):
        bridge.ping(timeout=limits.SILENCE_MS_MAX / 1000 + 2)
    assert bridge._link.transport.replaced == 1
    server.faults.clear()
    assert bridge.ping(timeout=8).ms > 0


# --- one id, one order ----------------------------------------------------------------------------


def test_the_same_client_order_id_is_the_same_order_across_calls_and_restarts(
    server: FakeServer, kit: Kit
) -> None:
    with Connector.from_config(kit.config, client="atlas") as bridge:
        one = bridge.buy("EURUSD", 0.01, client_order_id="x")
        again = bridge.buy("EURUSD", "0.010", client_order_id="x")
        assert (again.rid, again.ticket) == (one.rid, one.ticket)
        with pytest.raises(LocalProtocolError, match="CONFLICT"):
            bridge.buy("EURUSD", 0.02, client_order_id="x")
    with Connector.from_config(kit.config, client="atlas") as bridge:
        assert bridge.buy("EURUSD", 0.01, client_order_id="x").rid == one.rid
        with pytest.raises(LocalProtocolError, match="CONFLICT"):
            bridge.sell("EURUSD", 0.01, client_order_id="x")
    assert len(server.executed) == 1


def test_the_same_client_order_id_is_the_same_order_after_a_lost_disk(
    server: FakeServer, kit: Kit
) -> None:
    with Connector.from_config(kit.config, client="atlas") as bridge:
        one = bridge.buy("EURUSD", 0.01, client_order_id="x")
    for file in (kit.folder / "state").iterdir():
        file.unlink()
    with Connector.from_config(kit.config, client="atlas") as bridge:
        again = bridge.buy("EURUSD", 0.01, client_order_id="x")
        assert (again.rid, again.ticket, again.status) == (one.rid, one.ticket, "FILLED")
        assert bridge.buy("EURUSD", 0.01, client_order_id="x").rid == one.rid
    for file in (kit.folder / "state").iterdir():
        file.unlink()
    with (
        Connector.from_config(kit.config, client="atlas") as bridge,
        pytest.raises(LocalProtocolError, match="CONFLICT"),
    ):
        bridge.sell("EURUSD", 0.01, client_order_id="x")
    assert len(server.executed) == 1


def test_a_second_process_or_connector_of_one_client_name_is_refused(
    bridge: Connector, kit: Kit
) -> None:
    del bridge
    with pytest.raises(ConfigError, match="CLIENT_IN_USE"):
        Connector.from_config(kit.config, client="atlas")
    with Connector.from_config(kit.config) as watcher:
        assert watcher.ping().ms > 0
        with pytest.raises(LocalProtocolError, match="NO_CLIENT"):
            watcher.buy("EURUSD", 0.01)


# --- time ------------------------------------------------------------------------------------


def test_a_skewed_clock_refuses_entries_and_signs_reductions_in_the_servers_time(
    server: FakeServer, kit: Kit
) -> None:
    def slow() -> Now:
        now = read_clocks()
        return now._replace(wall_ms=now.wall_ms - 60_000)

    from bridge_core.host.bundles import load_bundle

    settings = load_settings(kit.config)
    bundle = load_bundle(kit.folder / settings.keys)
    with Connector.from_config(kit.config, client="first") as bridge:
        held = bridge.buy("EURUSD", 0.01)
    with Connector(settings, bundle, kit.folder, client="atlas", clocks=slow) as bridge:
        bridge.connect()
        result = bridge.buy("EURUSD", 0.01)
        denied_here(result, "CLOCK_SKEW")
        assert result.value.startswith(("5999", "6000"))
        assert bridge.modify_position(held.ticket, sl=1.0).status is Status.DONE
        assert bridge.close_position(held).status is Status.FILLED
    token = parse_request(next(f for op, f in server.seen if op is Op.CLOSE).token)
    assert token is not None
    assert abs(token.iat - server.now_ms()) < 5_000


def test_modifies_of_one_ticket_are_signed_with_strictly_increasing_iat(
    server: FakeServer, bridge: Connector
) -> None:
    held = bridge.buy("EURUSD", 0.01)
    for n in range(8):
        assert bridge.modify_position(held, sl=f"1.0{n}").status is Status.DONE
    tokens = [parse_request(f.token) for op, f in server.seen if op is Op.MODIFY]
    stamps = [t.iat for t in tokens if t is not None]
    assert stamps == sorted(set(stamps))


def test_modify_keeps_what_is_none_and_removes_what_is_zero(
    server: FakeServer, bridge: Connector
) -> None:
    held = bridge.buy("EURUSD", 0.01, sl=1.0, tp=1.2)
    assert bridge.modify_position(held, tp=1.3).status is Status.DONE
    place = server.positions[held.ticket]
    assert (place.sl, place.tp) == ("1.0", "1.3")
    assert bridge.modify_position(held.ticket, sl=0).status is Status.DONE
    assert server.positions[held.ticket].sl == "0"
    server.positions[held.ticket] = replace(server.positions[held.ticket], sl="1.05")
    changed = bridge.modify_position(held, sl=1.06)
    assert (changed.status, changed.code) == ("DENIED", "CHANGED")
    assert bridge.modify_position(held, sl=1.06).status is Status.DONE


# --- stops -----------------------------------------------------------------------------------


def test_halt_goes_out_while_an_open_is_waiting_and_needs_no_hello(
    server: FakeServer, bridge: Connector, kit: Kit
) -> None:
    server.fault(Op.OPEN, *[Lose()] * 4)
    waiting = threading.Thread(target=lambda: bridge.buy("EURUSD", 0.01, wait=3))
    waiting.start()
    time.sleep(0.1)
    started = time.monotonic()
    assert bridge.halt("now").status == "OK"
    assert time.monotonic() - started < 2.0
    waiting.join()
    with Connector.from_config(kit.config) as fresh:
        hellos = server.count(Op.HELLO)
        assert fresh.halt("now").status == "OK"
        assert server.count(Op.HELLO) == hellos


def test_a_stop_that_never_left_says_so_and_one_that_may_have_says_unknown(
    server: FakeServer, bridge: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_client.stopping._STOP_S", 1.0)
    server.fault(Op.HALT, *[Lose()] * 20)
    assert bridge.halt("x").status == "UNKNOWN"
    server.stop()
    wait_until(lambda: bridge.halt("x").status != "UNKNOWN")  # until the connector noticed
    assert bridge.halt("x").code == "NO_CONNECTION"


@pytest.mark.parametrize("scope", [Scope.QUERY, Scope.OPERATOR, Scope.REDUCE])
def test_a_bundle_can_only_do_what_its_scope_holds(tmp_path: Path, scope: Scope) -> None:
    kit = make_kit(tmp_path / "b", scope=scope)
    with FakeServer(kit), Connector.from_config(kit.config, client="atlas") as bridge:
        denied_here(bridge.buy("EURUSD", 0.01), "SCOPE")
        assert (bridge.halt("x").status == "OK") is (scope is not Scope.QUERY)
        assert bridge.resume("OPERATOR", "x").code == ("-" if scope is Scope.OPERATOR else "SCOPE")


def test_used_after_fork_it_says_so(bridge: Connector) -> None:
    bridge._pid += 1
    try:
        with pytest.raises(BridgeError, match="FORKED"):
            bridge.ping()
        with pytest.raises(BridgeError, match="FORKED"):
            bridge.buy("EURUSD", 0.01)
    finally:
        bridge._pid -= 1


def test_a_request_hash_is_bound_to_the_exact_bytes() -> None:
    assert request_hash(Frames(b"a", b"b")) != request_hash(Frames(b"ab", b""))


def test_a_refusal_here_never_hides_the_order_that_already_has_the_id(
    server: FakeServer, kit: Kit
) -> None:
    with Connector.from_config(kit.config, client="atlas") as bridge:
        one = bridge.buy("GBPUSD", 0.01, client_order_id="x")
    for file in (kit.folder / "state").iterdir():
        file.unlink()
    with Connector.from_config(kit.config, client="atlas") as bridge:
        again = bridge.buy("GBPUSD", 0.01, client_order_id="x")
        assert (again.rid, again.status) == (one.rid, "FILLED")
        denied_here(bridge.buy("GBPUSD", 0.01, client_order_id="y"), "MAX_POSITIONS")
    assert len(server.executed) == 1

"""A compromised relay between the connector and the EA: every hop is real, the server lies.

Connector, server, link and signatures are the product's own; the EA and its broker are the fake
ones. Items 16 to 19, 43, 75, 76, 86, 87, 89 to 93 and 143 of the catalogue. After each test the
promises S1 to S7 are judged by the broker's ledger, the signed requests and what the connector
told its strategy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bridge_client import Alert, Connector, PositionOpened, Resync, events
from bridge_client.evidence import signed_rows
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Open, encode_body
from bridge_core.protocol.operations import Op, Purpose
from bridge_core.protocol.signing import Frames, RequestKeys, sign_request
from bridge_core.protocol.token import RequestToken, parse_request
from bridge_server.backends.ea_hop import make_head
from bridge_server.backends.ea_link import Call, Reply
from bridge_server.core.executor import Relayed
from bridge_server.core.ports import Executed, Facts, NotBegun, Outcome, Submission
from tests.support.ea_account import EaHouse, EaServer
from tests.support.fake_ea_broker import paper_lines
from tests.support.oracles import Evidence, Told, broken_promises, journal_evidence
from tests.support.raw_client import RawClient, open_body
from tests.support.running import wait_until

Execute = Callable[[Submission], Outcome]


class Stage:
    """A live EA account with one client, and what its oracles need at the end."""

    def __init__(self, house: EaHouse, server: EaServer, bridge: Connector) -> None:
        self.house = house
        self.server = server
        self.bridge = bridge
        self.honest = True

    @property
    def broker(self) -> Any:
        return self.house.broker

    def lie(self, monkeypatch: pytest.MonkeyPatch, how: Callable[[Execute], Execute]) -> None:
        """Let the server's executor lie from now on; its own rows prove nothing then."""
        self.honest = False
        monkeypatch.setattr(self.server.ea, "execute", how(self.server.ea.execute))

    def exec(self, frames: Frames, ticket: int = 0) -> Reply:
        """Hand frames to the EA as a relay may: whenever it likes, as often as it likes."""
        call = Call(lambda n: make_head("EXEC", n, ticket), frames, 1_500)
        return self.server.ea.link.hand_over(call, "EXEC").wait()

    def frames_of(self, rid: str) -> Frames:
        """Return the signed bytes of an order, as the relay saw them pass."""
        row = next(r for r in signed_rows(self._journal) if r.rid == rid)
        return row.frames

    @property
    def _journal(self) -> Path:
        return self.house.account.bundle() / "state" / "atlas.db"

    def judge(self) -> None:
        """Assert that no promise is broken."""
        alarms = frozenset(self.bridge.health().alarms)
        self.bridge.close()
        self.server.stop()
        rows = signed_rows(self._journal)
        signed = {row.rid: row.order for row in rows}
        acct = self.house.keys.acct
        evidence = Evidence(
            acct=acct, signed=signed, lines=paper_lines(self.broker.lines(), signed, acct),
            told=[Told(row.rid, row.view) for row in rows], whole=False, alarms=alarms,
        )  # fmt: skip
        kept, log, hashes = journal_evidence(self.house.account.state / "journal.db")
        evidence.log, evidence.hashes = log, hashes
        if self.honest:
            evidence.rows = kept
        assert broken_promises(evidence) == []
        for row in rows:
            if row.view.status == Status.UNKNOWN:  # S4: never silently
                assert any(row.rid in alarm for alarm in alarms), row


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with EaHouse(tmp_path) as house:
        server, _ = house.ready()
        with Connector.from_config(house.point_connector(), client="atlas") as bridge:
            bridge.connect()
            made = Stage(house, server, bridge)
            yield made
            made.judge()


@pytest.fixture
def raw(stage: Stage) -> RawClient:
    return stage.server.client()


def altered(frames: Frames, old: bytes, new: bytes, keys: Any) -> Frames:
    """Return frames with another body, their mac-srv made anew with the relay's own key."""
    parts = parse_request(frames.token)
    assert parts is not None
    body = frames.body.replace(old, new)
    assert body != frames.body
    srv = RequestKeys(keys[Purpose.ORDER_SRV], Purpose.ORDER_SRV)
    made = sign_request(parts, body, srv).token.decode("ascii")
    head, _, mac_srv = made.rsplit(":", 2)
    return Frames(f"{head}:{parts.mac_ea}:{mac_srv}".encode("ascii"), body)


# --- 16 to 19: what the relay cannot make ------------------------------------------------------


def test_16_an_order_without_mac_ea_gets_past_neither_server_nor_ea(
    stage: Stage, raw: RawClient
) -> None:
    keys = raw.keys.keys
    token = raw.token(Op.OPEN)
    bare = sign_request(
        token, encode_body(open_body()), RequestKeys(keys[Purpose.ORDER_SRV], Purpose.ORDER_SRV)
    )
    answer = raw.ask(bare)
    assert answer.status == "DENIED"
    assert stage.exec(bare).body is None
    assert stage.broker.begun() == 0


def test_17_a_relay_that_signs_for_the_ea_itself_moves_nothing_and_is_found_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forging(honest: Execute) -> Execute:
        del honest

        def execute(submission: Submission) -> Outcome:
            parts = parse_request(submission.frames.token)
            assert parts is not None
            server_key = bytes(range(32))  # whatever it holds, it is not the order's key
            forged = sign_request(
                parts, submission.frames.body,
                RequestKeys(server_key, Purpose.ORDER_SRV, server_key, Purpose.ORDER_EA),
            )  # fmt: skip
            assert stage.exec(forged).body is None
            return filled(submission)

        return execute

    stage.lie(monkeypatch, forging)
    found_out(stage)
    assert stage.house.ea.desk.counters["dropped_mac"] == 1


def found_out(stage: Stage) -> None:
    """Assert that a claimed fill is never told, alarms, and ends with the EA's own word."""
    result = stage.bridge.buy("EURUSD", 0.01, wait=0.2)
    assert result.status != "FILLED"
    done = stage.bridge.wait(result, timeout=30)  # at once, but on a loaded machine
    assert (done.status, done.attested) == ("DENIED", True)
    assert any(done.rid in alarm for alarm in stage.bridge.health().alarms)
    assert stage.broker.begun() == 0


def filled(submission: Submission) -> Executed:
    """What a relay says that wants to be believed."""
    facts = Facts(symbol="EURUSD", ticket=4711, volume=_volume(submission), price=_ONE)
    return Executed(status=Status.FILLED, facts=facts)


def _volume(submission: Submission) -> Any:
    assert isinstance(submission.body, Open)
    return type(_ONE)(submission.body.volume)


_ONE = Facts().price + 1


def test_18_a_relay_that_alters_the_volume_moves_nothing_and_is_found_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, raw: RawClient
) -> None:
    keys = raw.keys.keys

    def altering(honest: Execute) -> Execute:
        del honest

        def execute(submission: Submission) -> Outcome:
            bent = altered(submission.frames, b'"0.01"', b'"0.02"', keys)
            assert stage.exec(bent).body is None
            return filled(submission)

        return execute

    stage.lie(monkeypatch, altering)
    found_out(stage)
    assert stage.house.ea.desk.counters["dropped_mac"] == 1


def test_19_a_hop_message_that_only_carries_an_order_runs_nothing(
    stage: Stage, raw: RawClient
) -> None:
    frames = raw.sign(Op.OPEN, open_body())
    for verb, parts in (("FORWARD", ()), ("EXEC", (4711,))):
        call = Call(lambda n, v=verb, p=parts: make_head(v, n, *p), frames, 500)  # type: ignore[misc]
        assert stage.server.ea.link.hand_over(call, verb).wait().body is None
    assert stage.broker.begun() == 0


# --- 43, 75, 76: late and again ----------------------------------------------------------------


def test_43_an_order_whose_deadline_passed_on_the_hop_is_denied_by_the_ea(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(honest: Execute) -> Execute:
        def execute(submission: Submission) -> Outcome:
            clock = stage.server.ea._clock
            left_ms = submission.deadline.remaining_ms(clock.wall_ms(), clock.mono_ms())
            time.sleep(left_ms / 1000 + 0.01)
            longer = submission.deadline._replace(
                wall_ms=submission.deadline.wall_ms + 9_000,
                mono_ms=submission.deadline.mono_ms + 9_000,
            )
            return honest(replace(submission, deadline=longer))

        return execute

    stage.lie(monkeypatch, late)
    result = stage.bridge.buy("EURUSD", 0.01, wait=12)
    assert (result.status, result.code, result.attested) == ("DENIED", "EXPIRED", True)
    assert stage.broker.begun() == 0


def test_75_an_order_replayed_at_the_ea_gets_its_stored_word(stage: Stage) -> None:
    result = stage.bridge.buy("EURUSD", 0.01)
    assert result.status == "FILLED"
    frames = stage.frames_of(result.rid)
    first, second = stage.exec(frames), stage.exec(frames)
    assert first.body == second.body
    assert first.body is not None
    assert result.rid.encode() in first.body
    assert stage.broker.begun() == 1


@pytest.mark.parametrize("journal", ["kept", "gone"])
def test_76_nor_does_it_run_again_after_a_restart_of_the_ea(stage: Stage, journal: str) -> None:
    result = stage.bridge.buy("EURUSD", 0.01)
    frames = stage.frames_of(result.rid)
    stage.house.ea.kill()
    if journal == "gone":
        for path in (stage.house.folder / "ea-0").glob("*.jsonl"):
            path.unlink()
    stage.house.ea.start()
    wait_until(lambda: stage.server.ea.link.status.instance == stage.house.ea.instance, 8)
    word = stage.exec(frames).body
    assert word is not None
    assert (b'"FILLED"' in word) is (journal == "kept")
    assert stage.broker.begun() == 1
    assert stage.bridge.order_status(result).status == "FILLED"


# --- 86, 87: what the relay says ---------------------------------------------------------------


def test_86_a_claimed_fill_without_the_eas_word_is_no_fill_and_alarms(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.lie(monkeypatch, lambda _honest: filled)
    with stage.bridge.events(timeout=0.5) as feed:
        assert feed.ready()
        found_out(stage)
        assert heard(feed, Alert, "SERVER_LIED").rid


def test_87_a_denial_of_what_the_ea_did_becomes_the_fill_it_was(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denying(honest: Execute) -> Execute:
        def execute(submission: Submission) -> Outcome:
            assert isinstance(honest(submission), Executed)
            return NotBegun(refusal=Refusal(ReasonCode.HALTED))

        return execute

    stage.lie(monkeypatch, denying)
    result = stage.bridge.buy("EURUSD", 0.01)
    if result.status == "DENIED":  # else the EA's word was quicker
        assert not result.attested
        stage.bridge.replace(result, "EURUSD", "BUY", 0.01)
    wait_until(lambda: not stage.bridge.unfinished(), 10)
    found = stage.bridge.order_status(result)
    assert (found.status, found.attested) == ("FILLED", True)
    assert stage.bridge.health().alarms
    assert stage.broker.begun() == 1


# --- 89 to 93: what the relay does with the EA's events ----------------------------------------


def heard(feed: Any, kind: type, code: str = "") -> Any:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        event = next(feed)
        if isinstance(event, kind) and code in ("", getattr(event, "code", "")):
            return event
    raise AssertionError(f"no {kind.__name__} {code}")


@pytest.fixture
def feed(stage: Stage) -> Iterator[Any]:
    with stage.bridge.events(timeout=0.5) as made:
        assert made.ready()
        yield made


def opened(ticket: int) -> EventBody:
    return EventBody(type="position_opened", symbol="EURUSD", ticket=ticket, side="BUY",
                     volume="0.01", open_price="1.1")  # fmt: skip


def test_89_forged_and_altered_events_are_ignored(stage: Stage, feed: Any) -> None:
    ea = stage.house.ea
    true = ea.next_event(opened(7))
    ea.post(Frames(true.token, true.body.replace(b"0.01", b"9.99")))
    ea.post(ea.sign_event(1, opened(66), key=bytes(range(32))))
    ea.post(true)
    assert heard(feed, PositionOpened).ticket == 7
    assert feed.rejected == 2


def test_90_a_gap_in_the_eas_stream_brings_the_truth(stage: Stage, feed: Any) -> None:
    stage.house.ea.next_event(opened(7))  # lost on the way
    stage.house.ea.post(stage.house.ea.next_event(opened(8)))
    assert isinstance(heard(feed, Resync), Resync)


def test_91_copies_are_told_once(stage: Stage, feed: Any) -> None:
    ea = stage.house.ea
    first = ea.next_event(opened(7))
    for frames in (first, first, ea.next_event(opened(8)), first):
        ea.post(frames)
    assert [heard(feed, PositionOpened).ticket for _ in range(2)] == [7, 8]
    assert not isinstance(next(feed), PositionOpened)


def test_92_two_stories_under_one_number_are_an_alarm(stage: Stage, feed: Any) -> None:
    ea = stage.house.ea
    ea.post(ea.next_event(opened(7)))
    ea.post(ea.sign_event(1, opened(66)))
    assert "told number 1 twice" in heard(feed, Alert, "EVENT_FORK").message


def test_93_a_relay_that_swallows_the_eas_events_is_noticed_within_3_s(
    stage: Stage, feed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert events._STALE_S == 3.0
    take = stage.server.ea.take
    monkeypatch.setattr(
        stage.server.ea, "take", lambda: [p for p in take() if not isinstance(p, Relayed)]
    )
    started = time.monotonic()
    alert = heard(feed, Alert, "STREAM_STALE")
    assert "EA" in alert.message
    assert time.monotonic() - started < 8.0


# --- 143: keys of one account, names of another ------------------------------------------------


def test_143_an_order_for_another_account_is_dropped_at_every_door(
    stage: Stage, raw: RawClient
) -> None:
    frames = raw.sign(Op.OPEN, open_body(), acct="other")
    assert raw.silent(frames)
    assert stage.exec(frames).body is None
    assert stage.house.ea.desk.counters["dropped_kid"] == 1
    assert stage.broker.begun() == 0
    assert isinstance(parse_request(frames.token), RequestToken)

"""A server that lies about an order on an account whose EA signs its word.

Each lie is an alarm in four places: the log, `health()`, the connector's journal and every event
feed; what the strategy is told comes from the EA alone. Items 86 and 87 of the catalogue.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bridge_client import Alert, Connector, EventFeed, OrderFinal, Status
from bridge_core.host.keyfiles import random_key, save_key_file
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.operations import Op, Purpose, Scope
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames, ea_record_mac, order_hash
from bridge_core.protocol.token import EaRecord, RequestToken, parse_request
from tests.support.fake_server import FakeServer, Kit, make_kit
from tests.support.running import wait_until

Change = Callable[[OrderView], OrderView]


class Ea:
    """Signs the truth about every order; the server passes on what `change` makes of it."""

    def __init__(self, server: FakeServer, kit: Kit) -> None:
        self._key = kit.bundle.key_set().keys[Purpose.REPLY_EA]
        self.kid = kit.bundle.kid
        self.change: Change = lambda view: view
        self.words: dict[str, tuple[str, str]] = {}
        self._server = server
        server.attest = self._attest

    def _attest(self, token: RequestToken, frames: Frames, view: OrderView) -> OrderView:
        record = EaRecord(
            self.kid, "demo", token.rid, token.op, order_hash(frames, token), view.status,
            view.code, view.ticket, view.volume, view.price, view.sl, view.tp, 1_700_000_000_000,
        )  # fmt: skip
        self.words[token.rid] = self.sign(record)
        text, mac = self.words[token.rid]
        return self.change(replace(view, ea=text, ea_mac=mac, evidence="EA"))

    def sign(self, record: EaRecord) -> tuple[str, str]:
        raw = record.text()
        return raw.decode("ascii"), ea_record_mac(self._key, raw)

    def speak(self, rid: str, **more: Any) -> None:
        """Let the EA's true word about an order reach the connector from now on."""
        text, mac = self.words[rid]
        self._server.stored.pop(rid, None)
        self._server.finish(rid, ea=text, ea_mac=mac, **more)


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path / "connector", ea=True)


@pytest.fixture
def server(kit: Kit) -> Iterator[FakeServer]:
    with FakeServer(kit) as running:
        yield running


@pytest.fixture
def ea(server: FakeServer, kit: Kit) -> Ea:
    return Ea(server, kit)


@pytest.fixture
def bridge(server: FakeServer, kit: Kit) -> Iterator[Connector]:
    with Connector.from_config(kit.config, client="atlas") as made:
        made.connect()
        yield made


@pytest.fixture
def feed(bridge: Connector) -> Iterator[EventFeed]:
    with bridge.events(timeout=0.5) as made:
        assert made.ready()
        yield made


def stripped(view: OrderView) -> OrderView:
    return replace(view, ea="", ea_mac="-")


def forged(view: OrderView) -> OrderView:
    return replace(view, ea_mac="0" * 64)


def heard(feed: EventFeed, kind: type, code: str = "") -> Any:
    until = time.monotonic() + 8
    while time.monotonic() < until:
        event = next(feed)
        if isinstance(event, kind) and code in ("", getattr(event, "code", "")):
            return event
    raise AssertionError(f"no {kind.__name__} {code}")


def alarms_on_file(kit: Kit) -> dict[str, str]:
    with closing(sqlite3.connect(kit.folder / "state" / "atlas.db")) as db:
        return dict(db.execute("SELECT name, detail FROM latches").fetchall())


def test_an_honest_server_raises_no_alarm(bridge: Connector, ea: Ea) -> None:
    assert ea.kid == "c1"
    bought = bridge.buy("EURUSD", 0.01)
    assert (bought.status, bought.attested, bought.evidence) == ("FILLED", True, "EA")
    assert bridge.close_position(bought).status == "FILLED"
    assert bridge.health().alarms == ()


@pytest.mark.parametrize("lie", [stripped, forged])
def test_a_fill_without_the_eas_record_alarms_everywhere_and_waits_for_the_ea(
    bridge: Connector, ea: Ea, feed: EventFeed, kit: Kit, lie: Change
) -> None:
    ea.change = lie
    result = bridge.buy("EURUSD", 0.01, wait=2)
    assert (result.status, result.code, result.attested) == ("UNKNOWN", "SERVER_LIED", False)
    assert heard(feed, Alert, "SERVER_LIED").rid == result.rid
    assert any(result.rid in alarm for alarm in bridge.health().alarms)
    assert result.rid in alarms_on_file(kit)["SERVER_LIED"]
    ea.speak(result.rid)
    done = bridge.wait(result, timeout=8)
    assert (done.status, done.attested) == ("FILLED", True)


def test_a_lie_is_logged(bridge: Connector, ea: Ea, caplog: pytest.LogCaptureFixture) -> None:
    ea.change = stripped
    with caplog.at_level(logging.ERROR, "bridge_client"):
        result = bridge.buy("EURUSD", 0.01, wait=2)
    assert f"SERVER_LIED rid={result.rid}" in caplog.text


def test_one_lie_is_told_once_however_often_it_is_repeated(
    bridge: Connector, ea: Ea, feed: EventFeed
) -> None:
    ea.change = stripped
    result = bridge.buy("EURUSD", 0.01, wait=0.2)
    heard(feed, Alert, "SERVER_LIED")
    for _ in range(3):
        assert bridge.order_status(result).status == "UNKNOWN"
    assert len(bridge.health().alarms) == 1
    feed._timeout = 0.2
    assert not any(isinstance(event, Alert) for event in [next(feed), next(feed)])


@pytest.mark.parametrize(
    "change",
    [{"ticket": 66}, {"price": "1.00001"}, {"volume": "0.02"}, {"status": "REJECTED"}],
    ids=lambda change: next(iter(change)),
)
def test_a_server_that_contradicts_the_record_is_caught_and_the_record_holds(
    bridge: Connector, ea: Ea, change: dict[str, Any]
) -> None:
    ea.change = lambda view: replace(view, **change)
    result = bridge.buy("EURUSD", 0.01)
    assert (result.status, result.code, result.attested) == ("FILLED", "SERVER_LIED", True)
    assert (result.ticket, result.volume, result.price) == (1001, 0.01, 1.08512)
    assert len(bridge.health().alarms) == 1


def test_denied_while_the_ea_filled_is_a_fill_and_is_told_again(
    bridge: Connector, ea: Ea, feed: EventFeed
) -> None:
    ea.change = lambda view: replace(stripped(view), status="DENIED", code="HALTED", evidence="")
    result = bridge.buy("EURUSD", 0.01)
    assert (result.status, result.attested) == ("DENIED", False)
    assert bridge.replace(result, "EURUSD", "BUY", 0.01).rid == result.rid  # no second order
    assert bridge.health().alarms == ()
    ea.speak(result.rid, status="FILLED", code="-", ticket=1001, price="1.08512", evidence="EA")
    wait_until(lambda: not bridge.unfinished(), 8)
    told = heard(feed, OrderFinal)
    while told.result.status is Status.DENIED:
        told = heard(feed, OrderFinal)
    assert (told.result.status, told.result.ticket) == ("FILLED", 1001)
    assert any("DENIED" in alarm and "FILLED" in alarm for alarm in bridge.health().alarms)
    assert bridge.order_status(result).status == "FILLED"


def test_the_record_of_another_order_ends_nothing(bridge: Connector, ea: Ea) -> None:
    first = bridge.buy("EURUSD", 0.01)
    text, mac = ea.words[first.rid]
    ea.change = lambda view: replace(view, ea=text, ea_mac=mac)
    second = bridge.buy("EURUSD", 0.01, wait=2)
    assert (second.status, second.code) == ("UNKNOWN", "SERVER_LIED")
    assert bridge.order_status(first).status == "FILLED"


def test_a_flatten_needs_the_eas_word_about_itself(bridge: Connector, ea: Ea) -> None:
    ea.change = stripped
    waiting = bridge.flatten("end of day", wait=1)
    assert (waiting.status, waiting.final, waiting.attested) == ("UNKNOWN", False, False)
    ea.speak(waiting.rid)
    assert bridge.wait(waiting, timeout=8).status == "DONE"


# --- key sets that come and go --------------------------------------------------------------------


def test_an_order_of_a_retired_kid_is_ended_by_that_kids_record(
    server: FakeServer, ea: Ea, kit: Kit
) -> None:
    ea.change = stripped
    with Connector.from_config(kit.config, client="atlas") as old:
        result = old.buy("EURUSD", 0.01, wait=1)
        assert result.status == "UNKNOWN"
    keys = kit.folder / "keys"
    (keys / "retired").mkdir(mode=0o700)
    shutil.move(keys / "connector.key", keys / "retired" / "c1.key")
    fresh = replace(kit.bundle, kid="c2", root=random_key().hex())
    save_key_file(keys / "connector.key", fresh)
    server.keys = fresh.key_set()
    ea.speak(result.rid)
    with Connector.from_config(kit.config, client="atlas") as new:
        done = new.wait(result, timeout=8)
        assert (done.status, done.attested) == ("FILLED", True)


def test_a_record_of_a_kid_that_nobody_here_knows_is_unverified_and_no_lie(
    bridge: Connector, ea: Ea
) -> None:
    def borrowed(view: OrderView) -> OrderView:
        return replace(view, ea=view.ea.replace(":c1:", ":c9:"))

    ea.change = borrowed
    placed = bridge.buy("EURUSD", 0.01, wait=0.3)
    wait_until(lambda: bridge.wait(placed, timeout=0.1).evidence == "UNVERIFIED")
    result = bridge.wait(placed, timeout=0.1)
    assert (result.status, result.attested) == ("UNKNOWN", False)
    assert bridge.health().alarms == ()


def test_a_retired_key_of_another_account_stops_the_start(kit: Kit) -> None:
    retired = kit.folder / "keys" / "retired"
    retired.mkdir(mode=0o700)
    save_key_file(retired / "x.key", replace(kit.bundle, acct="other"))
    with pytest.raises(ConfigError, match="another account"):
        Connector.from_config(kit.config)


# --- the operator's RESUME ----------------------------------------------------------------


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[tuple[FakeServer, Ea, Connector]]:
    kit = make_kit(tmp_path / "operator", scope=Scope.OPERATOR, ea=True)
    with FakeServer(kit) as server, Connector.from_config(kit.config) as bridge:
        bridge.connect()
        yield server, Ea(server, kit), bridge


def test_a_resume_is_done_only_when_the_ea_says_so(
    operator: tuple[FakeServer, Ea, Connector], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, ea, bridge = operator
    assert bridge.resume("OPERATOR", "checked").status == "DONE"
    monkeypatch.setattr("bridge_client.stopping._STOP_S", 2.0)
    ea.change = stripped
    assert bridge.resume("OPERATOR", "checked").status == "UNKNOWN"
    assert "RESUME" in {op.value for op, _ in server.seen}
    assert len(bridge.health().alarms) == 1


def test_a_resume_of_the_connectors_own_latch_asks_no_ea(
    operator: tuple[FakeServer, Ea, Connector],
) -> None:
    server, ea, bridge = operator
    ea.change = stripped
    assert bridge.resume("LOG_FORK", "checked").status == "DONE"
    rid = next(token.rid for token in map(_token, server.seen) if token.op == Op.RESUME)
    assert bridge.find_order(rid).status == "DONE"
    assert bridge.health().alarms == ()


def test_a_late_word_of_the_ea_ends_a_resume(
    operator: tuple[FakeServer, Ea, Connector],
) -> None:
    server, ea, bridge = operator
    ea.change = lambda view: replace(stripped(view), status="PENDING", final=False)

    def answer_later(server: FakeServer, token: RequestToken, body: bytes, reply: Frames) -> None:
        rid = next(t.rid for t in map(_token, server.seen) if t.op == Op.RESUME)
        ea.speak(rid, status="DONE")

    server.fault(Op.GET_STATUS, answer_later)
    assert bridge.resume("OPERATOR", "checked").status == "DONE"


def _token(seen: tuple[Op, Frames]) -> RequestToken:
    token = parse_request(seen[1].token)
    assert token is not None
    return token

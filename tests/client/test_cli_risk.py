"""`ztb risk`, and `ztb resume` of a latch that is this machine's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_client import Connector
from bridge_client.cli.journals import risk_latches
from bridge_core.protocol.operations import Op, Scope
from bridge_core.protocol.replies import StateReply
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import RequestToken
from bridge_core.protocol.views import LimitView
from tests.client.test_limits_kept import rejecting
from tests.support.command_line import Ztb
from tests.support.fake_server import FakeServer, Instead, Kit, make_kit

RISK = 'risk = { max_daily_loss = "50%", require_sl = false, max_rejections = 1 }'


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str]) -> Ztb:
    return Ztb(capsys)


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path / "connector", more=RISK)


@pytest.fixture
def latched(kit: Kit) -> Iterator[FakeServer]:
    """Yield a server whose client atlas has run into its own BREAKER."""
    with FakeServer(kit) as server:
        server.decide = rejecting
        with Connector.from_config(kit.config, client="atlas") as bridge:
            assert bridge.buy("EURUSD", 0.01).status == "REJECTED"
            assert bridge.buy("EURUSD", 0.01).code == "MAX_REJECTIONS"
        yield server


def test_it_shows_every_limit_of_three_sides_and_marks_the_tightest(ztb: Ztb, kit: Kit) -> None:
    with FakeServer(kit) as server:
        server.limits = [
            LimitView(name="max_volume", symbol="EURUSD", value="0.5", by="server"),
            LimitView(name="max_positions", symbol="EURUSD", value="3", used="1", headroom="2"),
            LimitView(name="ea_max_lots", value="0.01"),
        ]
        shown = ztb("risk", "EURUSD", "--config", kit.config)
        assert shown.code == 0
        rows = {tuple(line.split("\t")[:2]): line.split("\t")[2:] for line in
                shown.out.splitlines()}  # fmt: skip
        assert rows["LIMIT", "SYMBOL"] == ["CONNECTOR", "SERVER", "EA"]
        assert rows["max_volume", "EURUSD"] == ["1.0", "0.5", "0.01 *"]
        assert rows["max_positions", "EURUSD"] == [
            "1000 (0 used, 1000 left)", "3 (1 used, 2 left) *", "",
        ]  # fmt: skip
        assert rows["max_spread", "EURUSD"] == ["off", "", ""]
        assert rows["max_daily_loss", ""][0] == "50% (0 used, 4999.94 left) *"
        assert ("max_volume", "GBPUSD") not in rows
        found = ztb("risk", "--json", "--config", kit.config).json
        assert (found["schema"], found["exit"], found["ok"]) == ("ztb.risk/1", 0, True)
        by_name = {(row["name"], row["symbol"]): row for row in found["limits"]}
        assert by_name["max_volume", "EURUSD"]["tightest"] == "ea"
        assert by_name["max_volume", "GBPUSD"]["server"] is None
        assert by_name["max_spread", "EURUSD"]["connector"]["off"] is True


def test_without_the_server_it_shows_what_the_connector_holds(
    ztb: Ztb, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_client.queries.QUERY_S", 0.3)
    found = ztb("risk", "--json", "--config", kit.config)
    assert found.code == 2
    names = {row["name"] for row in found.json["limits"]}
    assert {"max_volume", "max_daily_loss", "entry_per_s"} <= names
    assert "NO_CONNECTION" in found.json["why"]


def test_a_symbol_that_is_not_allowed_is_a_usage_error(ztb: Ztb, kit: Kit) -> None:
    ended = ztb("risk", "EURUS", "--config", kit.config)
    assert (ended.code, "did you mean" in ended.err) == (3, True)


def test_a_latch_of_this_machine_is_told_and_degrades(
    ztb: Ztb, kit: Kit, latched: FakeServer
) -> None:
    del latched
    shown = ztb("risk", "--config", kit.config)
    assert shown.code == 1
    assert "BREAKER blocks the entries of client atlas: MAX_REJECTIONS limit=1 value=1" in shown.out
    health = ztb("health", "--config", kit.config)
    assert (health.code, "BREAKER blocks the entries of client atlas" in health.out) == (1, True)


@pytest.mark.parametrize("said", [("DONE", "-"), ("DENIED", "NOT_LATCHED")])
def test_the_operators_word_ends_the_latch_in_the_journals_here(
    tmp_path: Path, ztb: Ztb, kit: Kit, latched: FakeServer, said: tuple[str, str]
) -> None:
    latched.stop()
    words = resume(tmp_path, kit)
    with operator(tmp_path, kit) as server:
        server.fault(Op.RESUME, answer(*said))
        ended = ztb(*words)
    assert ended.code == 0, ended.err
    assert "BREAKER ended in the journal of client atlas" in ended.out
    assert risk_latches(kit.folder / "state") == {}


@pytest.mark.parametrize("said", [("DENIED", "SCOPE"), ("UNKNOWN", "NO_ANSWER")])
def test_without_the_servers_signed_word_the_latch_stands(
    tmp_path: Path, ztb: Ztb, kit: Kit, latched: FakeServer, said: tuple[str, str]
) -> None:
    latched.stop()
    words = resume(tmp_path, kit)
    with operator(tmp_path, kit) as server:
        server.fault(Op.RESUME, answer(*said))
        assert ztb(*words).code != 0
    assert set(risk_latches(kit.folder / "state")["atlas"]) == {"BREAKER"}


def test_a_client_that_runs_must_stop_before_its_latch_can_end(
    tmp_path: Path, ztb: Ztb, kit: Kit, latched: FakeServer
) -> None:
    latched.stop()
    words = resume(tmp_path, kit)
    with operator(tmp_path, kit) as server, Connector.from_config(kit.config, client="atlas"):
        refused = ztb(*words)
        assert (refused.code, "stop it, then resume" in refused.err) == (3, True)
        assert server.count(Op.RESUME) == 0


def operator(tmp_path: Path, kit: Kit) -> FakeServer:
    """Return a server that knows the operator's keys, where the other one was."""
    own = make_kit(tmp_path / "operator", scope=Scope.OPERATOR)
    text = own.config.read_text("utf-8").replace(f":{own.port}", f":{kit.port}")
    own.config.write_text(text, "utf-8")
    own.port = kit.port
    return FakeServer(own)


def resume(tmp_path: Path, kit: Kit) -> tuple[object, ...]:
    return (
        "resume", "--operator", tmp_path / "operator", "--cause", "BREAKER", "--reason", "seen",
        "--yes", "--config", kit.config,
    )  # fmt: skip


def answer(status: str, code: str) -> Instead:
    def signed(server: FakeServer, token: RequestToken, frames: Frames) -> list[Frames]:
        del frames
        return [server.sign(token, server.seen[-1][1], status, code, StateReply(state="ACTIVE"))]

    return Instead(signed)

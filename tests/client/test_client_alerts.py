"""What only the connector sees reaches a person too; `alerts test` and the doctors."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_client import Alert, Connector
from bridge_client.alarms import ClientAlarms
from bridge_client.settings import load_settings
from bridge_core.host.alert_settings import AlertSettings, Format
from bridge_core.protocol import limits
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.token import EventToken
from bridge_server.cli import main as server_main
from tests.client.test_ea_lies import Ea, stripped
from tests.support.command_line import Ended, Ztb
from tests.support.fake_server import FakeServer, Kit, make_kit
from tests.support.receiver import Receiver, configure, silent_socket, write_env
from tests.support.running import free_port, make_account, wait_until

# Five seconds are promised and printed; a crowded machine may take three times as long.
LIMIT_S = 15.0
PAGE = Path(__file__).resolve().parents[2] / "docs/alerts.md"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ztb:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    return Ztb(capsys)


@pytest.fixture
def config(ztb: Ztb, tmp_path: Path) -> Path:
    assert ztb("init", "demo", "--symbol", "EURUSD", "--max-volume", "0.01").code == 0
    return tmp_path / "demo/connector/connector.toml"


# --- what it sees --------------------------------------------------------------------------------


def test_a_server_that_lies_is_told_within_five_seconds(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    kit = make_kit(tmp_path, ea=True)
    key = configure(kit.config, receiver.port)
    with FakeServer(kit) as server:
        ea = Ea(server, kit)
        ea.change = stripped
        with Connector.from_config(kit.config, client="atlas") as bridge:
            bridge.connect()
            begun = time.monotonic()
            result = bridge.buy("EURUSD", 0.01, wait=0.2)
            got = receiver.wait_for("SERVER_LIED", LIMIT_S)
            for _ in range(3):
                bridge.order_status(result)
    print(f"\nSERVER_LIED: order to receiver {(got.at - begun) * 1000:.0f} ms")
    assert got.at - begun < LIMIT_S
    assert got.signed(key)
    assert (got.json["severity"], got.json["by"]) == ("critical", "connector")
    assert result.rid in got.json["message"]
    assert receiver.codes() == ["SERVER_LIED"]
    assert key not in caplog.text


def test_a_forked_record_is_told_within_five_seconds(tmp_path: Path, receiver: Receiver) -> None:
    kit = make_kit(tmp_path)
    configure(kit.config, receiver.port)
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas") as bridge:
        for _ in range(2):
            bridge.buy("EURUSD", 0.01)
        feed = bridge.events(timeout=3.0)
        server.log[-1] = (b"{}", bytes(32))
        begun = time.monotonic()
        bridge.ping()
        got = receiver.wait_for("LOG_FORK", LIMIT_S)
        assert got.at - begun < LIMIT_S
        event = next(one for one in feed if isinstance(one, Alert))
        assert (event.code, event.level) == ("LOG_FORK", "critical")
        feed.end()
        for _ in range(3):
            bridge.ping()
    assert receiver.codes() == ["LOG_FORK"]


def test_two_stories_under_one_number_and_a_silent_stream_are_told(
    tmp_path: Path, receiver: Receiver
) -> None:
    kit = make_kit(tmp_path)
    configure(kit.config, receiver.port)
    with FakeServer(kit) as server, Connector.from_config(kit.config) as bridge:
        feed = bridge.events(timeout=5.0)
        assert feed.ready()
        server.event(EventBody(type="alert", level="info", message="one"))
        next(feed)
        (stream, seq), _mac = next(iter(feed._macs.items()))
        other = EventToken(kid="e1", acct="demo", stream=stream, seq=seq, time=1, mac="0" * 64)
        feed._compare(other)
        receiver.wait_for("EVENT_FORK", LIMIT_S)
        feed._server.heard -= 60.0
        feed._notice_silence()
        receiver.wait_for("STREAM_STALE", LIMIT_S)
        feed.end()


def test_a_level_of_tomorrow_is_told_as_it_came(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alarms = ClientAlarms(load_settings(config), None, logging.getLogger("x"))
    with caplog.at_level(logging.DEBUG, "x"):
        assert alarms.alert("NEW", "y", "catastrophe") == "catastrophe"
        assert alarms.alert("NEW", "y") == "warning"
    assert [one.levelname for one in caplog.records] == ["WARNING", "WARNING"]
    alarms.close()


def test_closing_does_not_wait_for_a_receiver_that_hangs(tmp_path: Path) -> None:
    kit = make_kit(tmp_path)
    with silent_socket() as port, FakeServer(kit):
        configure(kit.config, port)
        with Connector.from_config(kit.config) as bridge:
            begun = time.monotonic()
            bridge._alarm("LINK_DOWN", "gone")
        # Whoever waited for it would have waited for all of one try.
        assert time.monotonic() - begun < limits.ALERT_POST_MS_MAX / 1000


def test_a_wrong_setting_stops_the_connector_and_names_the_line(config: Path) -> None:
    configure(config, 1)
    (config.parent / "alerts.env").write_text("ALERT_URL=http://a.example/x\n")
    with pytest.raises(ConfigError, match="use https"):
        Connector.from_config(config)


# --- `ztb alerts test`, `ztb-server alerts test` -------------------------------------------------


def test_a_test_alert_is_sent_and_its_answer_told(
    ztb: Ztb, config: Path, receiver: Receiver
) -> None:
    key = configure(config, receiver.port, 'format = "json"', 'min_severity = "critical"')
    ended = ztb("alerts", "test", "--config", config)
    assert ended.code == 0
    assert "HTTP 200" in ended.out
    (got,) = receiver.got
    assert got.signed(key)
    assert (got.json["code"], got.json["severity"]) == ("TEST", "info")
    ended = ztb("alerts", "test", "--config", config, "--json")
    assert (ended.json["exit"], ended.json["status"], ended.json["format"]) == (0, 200, "json")
    assert ended.json["ms"] >= 0
    assert key not in ended.out + ended.err


def test_the_one_thing_to_mend_is_said(ztb: Ztb, config: Path, receiver: Receiver) -> None:
    ended = ztb("alerts", "test", "--config", config)
    assert (ended.code, "[alerts]" in ended.err) == (3, True)
    configure(config, receiver.port)
    receiver.answer = lambda _got: (401, {})
    ended = ztb("alerts", "test", "--config", config)
    assert (ended.code, "ALERT_KEY" in ended.out) == (1, True)
    config.with_name("alerts.env").unlink()
    assert ztb("alerts", "test", "--config", config).code == 3
    text = config.read_text("utf-8")
    config.write_text(text[: text.index("[alerts]")])
    configure(config, free_port())
    ended = ztb("alerts", "test", "--config", config)
    assert (ended.code, "refused" in ended.out) == (2, True)


def test_the_servers_own_test_says_the_same(
    tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    account = make_account(tmp_path)
    words = ["alerts", "test", "--config", str(account.config)]
    assert server_main(words) == 3
    assert "[alerts]" in capsys.readouterr().err
    key = configure(account.config, receiver.port)
    assert server_main(words) == 0
    assert "HTTP 200" in capsys.readouterr().out
    assert receiver.got[0].signed(key)
    receiver.answer = lambda _got: (503, {})
    assert server_main([*words, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["status"], said["exit"]) == ("ztb.server.alerts/1", 503, 1)
    assert server_main(words) == 1
    assert "own log" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        server_main(["alerts"])


# --- the doctors -------------------------------------------------------------------------------


def _check(ended: Ended) -> dict[str, str]:
    rows: list[dict[str, str]] = ended.json["checks"]
    return next(row for row in rows if row["id"] == "alerts")


def test_the_doctors_say_off_ok_or_cannot_be_reached_and_send_nothing(
    ztb: Ztb, config: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("bridge_client.cli.checks_remote._CONNECT_S", 0.05)
    server = config.parent.parent / "server/server.toml"

    def both() -> list[dict[str, str]]:
        mine = _check(ztb("doctor", "--json", "--config", config))
        server_main(["doctor", "--json", "--config", str(server)])
        rows = json.loads(capsys.readouterr().out)["checks"]
        return [mine, next(row for row in rows if row["id"] == "alerts")]

    assert [(row["state"], row["finding"][:3]) for row in both()] == [("ok", "off")] * 2
    for file in (config, server):
        configure(file, receiver.port)
    assert [row["state"] for row in both()] == ["ok", "ok"]
    assert receiver.got == []
    for file in (config, server):
        text = file.with_name("alerts.env").read_text()
        file.with_name("alerts.env").write_text(text.replace(str(receiver.port), str(free_port())))
    for row in both():
        assert (row["state"], "refused" in row["finding"], bool(row["fix"])) == (
            "warn", True, True,
        )  # fmt: skip
    for file in (config, server):
        file.with_name("alerts.env").write_text("ALERT_URL=nonsense\n")
    for row in both():
        assert row["state"] == "fail"
        assert "ALERT_URL" in row["finding"]


@pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX file modes")
def test_fix_permissions_closes_the_file_of_the_alerts_too(
    ztb: Ztb, config: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    server = config.parent.parent / "server/server.toml"
    for file in (config, server):
        configure(file, receiver.port)
        file.with_name("alerts.env").chmod(0o644)
    ztb("doctor", "--fix-permissions", "--config", config)
    server_main(["doctor", "--fix-permissions", "--config", str(server)])
    capsys.readouterr()
    for file in (config, server):
        assert file.with_name("alerts.env").stat().st_mode & 0o777 == 0o600


# --- the page, and `explain` ---------------------------------------------------------------------


def test_the_page_shows_the_table_and_the_message_as_they_are(
    ztb: Ztb, config: Path, receiver: Receiver
) -> None:
    (table,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    config.write_text(f"{config.read_text('utf-8')}\n{table}")
    held = load_settings(config).alerts
    assert held is not None
    assert held == AlertSettings(format=Format.JSON)  # the rest are the defaults it names
    write_env(config.parent, receiver.port)
    assert ztb("alerts", "test", "--config", config).code == 0
    (message,) = re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert list(json.loads(message)) == list(receiver.got[0].json)


def test_the_receiver_of_the_page_takes_what_is_ours_and_refuses_the_rest(
    ztb: Ztb, config: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    port = free_port()
    key = configure(config, port)
    file = config.parent / "receiver.py"
    file.write_text(code.replace("8080", str(port)))
    child = subprocess.Popen(
        [sys.executable, str(file)], env={"ALERT_KEY": key}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: ztb("alerts", "test", "--config", config).code != 2, 15.0)
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["code"] == "TEST"
        assert ztb("alerts", "test", "--config", config).code == 0
        text = config.with_name("alerts.env").read_text()
        config.with_name("alerts.env").write_text(text.replace(key, "f" * 64))
        ended = ztb("alerts", "test", "--config", config)
        assert (ended.code, "HTTP 401" in ended.out) == (1, True)
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(
    ("code", "kind", "alert"),
    [("GHOST_FILL", "alert", "critical"), ("STOPS_NOT_SET", "code", "error"),
     ("UNKNOWN", "status", "error"), ("MAX_VOLUME", "code", "")],
)  # fmt: skip
def test_explain_knows_alerts(ztb: Ztb, code: str, kind: str, alert: str) -> None:
    ended = ztb("explain", code, "--json")
    assert (ended.code, ended.json["kind"], ended.json["alert"]) == (0, kind, alert)
    assert ended.json["fix"]


def test_the_kit_of_a_connector_without_alerts_needs_no_file(tmp_path: Path) -> None:
    kit: Kit = make_kit(tmp_path)
    assert load_settings(kit.config).alerts is None

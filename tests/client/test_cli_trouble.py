"""`ztb` when something is wrong: nobody there, a wrong key, a broker that hangs, a cut record."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge_client import Connector, desk, following, queries, recall, stopping
from bridge_client.cli.journals import local_orders
from bridge_client.transport import Transport
from bridge_core.host.sockets import new_curve_keys
from bridge_core.protocol.errors import BridgeError, TransportError
from tests.support.command_line import Ended, Ztb
from tests.support.running import Account, Running, free_port, make_account, wait_until
from tests.support.scripted_backend import ScriptedBackend, loses, rejects


class Here:
    """`ztb` with one account's configuration."""

    def __init__(self, ztb: Ztb, folder: Path) -> None:
        self._ztb = ztb
        self.folder = folder
        self.operator = folder / "operator"

    def __call__(self, *words: object, who: str = "connector") -> Ended:
        return self._ztb(*words, "--config", self.folder / who / "connector.toml")

    def buy(self, *more: object) -> Ended:
        return self("order", "buy", "EURUSD", "0.01", "--yes", "--json", *more)


def _point_at(folder: Path, port: int) -> None:
    for path in folder.glob("*/connector.toml"):
        text = path.read_text("utf-8")
        path.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", text), "utf-8")


@pytest.fixture
def account(tmp_path: Path) -> Account:
    made = make_account(tmp_path)
    _point_at(made.folder, made.port)
    return made


@pytest.fixture
def ztb(account: Account, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(Ztb(capsys), account.folder)


@pytest.fixture
def broker(account: Account) -> Iterator[ScriptedBackend]:
    with Running(account) as running:
        running.ready()
        yield running.scripted


# --- nobody there --------------------------------------------------------------------------------

_AWAY = [
    ("ping", ("--timeout", "0.2")),
    ("health", ()),
    ("account", ()),
    ("positions", ()),
    ("quote", ("EURUSD",)),
    ("status", ("x",)),
    ("order", ("buy", "EURUSD", "0.01", "--yes", "--wait", "0.2")),
    ("close", ("7", "--yes")),
    ("flatten", ("--yes",)),
    ("halt", ()),
    ("audit verify", ()),
]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers anyway: wait less for it."""
    for module, name in (
        (queries, "QUERY_S"), (stopping, "_STOP_S"), (following, "QUERY_S"),
        (desk, "_CONNECT_S"), (recall, "_CONNECT_S"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 0.2, raising=False)
    monkeypatch.setattr(Connector.health, "__defaults__", (0.2,))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("command", "words"), _AWAY, ids=[name for name, _ in _AWAY])
def test_with_nobody_there_every_command_ends_with_2_and_one_object(
    ztb: Here, command: str, words: tuple[str, ...]
) -> None:
    ended = ztb(*command.split(), *words, "--json")
    assert ended.code == 2, ended
    assert ended.json["schema"] == f"ztb.{command.replace(' ', '.')}/1"
    assert "Traceback" not in ended.err


def test_a_ping_that_was_answered_with_a_refusal_is_1(
    ztb: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (
        TransportError("NO_ANSWER", "why='the server refused our key, or is not the pinned one'"),
        BridgeError("EXPIRED", "op=PING by=server"),
    ):
        monkeypatch.setattr(Connector, "ping", _raises(error))
        ended = ztb("ping", "--json")
        assert (ended.code, ended.json["error"]["code"]) == (1, error.code)


def _raises(error: BridgeError) -> Callable[..., object]:
    def ping(*_: object, **__: object) -> object:
        raise error

    return ping


def test_a_server_that_listens_and_never_speaks_is_2(ztb: Here, account: Account) -> None:
    with socket.create_server(("127.0.0.1", account.port)):
        ended = ztb("ping", "--timeout", "0.3", "--json")
    assert (ended.code, ended.json["answered"]) == (2, 0)


# libzmq tells a refusal and a lost connection one after the other; the last word may win.
_NOT_LET_IN = (1, 2)


def test_a_key_unknown_to_the_server_is_not_let_in_and_doctor_says_what_to_look_at(
    ztb: Here, account: Account
) -> None:
    kid = ztb("keys", "list", "--account", account.folder, "--json").json["keys"]
    query = next(row["kid"] for row in kid if row["folder"] == "query")
    (account.folder / "server/keys" / f"{query}.key").unlink()
    with Running(account) as running:
        running.ready()
        assert ztb("ping", "--count", "1").code == 0
        assert ztb("ping", "--timeout", "0.5", who="query").code in _NOT_LET_IN
        row = next(
            row
            for row in ztb("doctor", "--json", who="query").json["checks"]
            if row["id"] == "server.hello"
        )
        assert row["state"] == "fail"
        assert "ztb keys list" in row["fix"]


def test_a_server_with_another_key_than_the_pinned_one_is_never_believed(
    ztb: Here, account: Account
) -> None:
    pinned = new_curve_keys().public.decode("ascii")
    path = account.folder / "connector/keys/connector.key"
    bundle = json.loads(path.read_text("utf-8")) | {"server_public": pinned}
    path.write_text(json.dumps(bundle), "utf-8")
    with Running(account) as running:
        running.ready("query")
        assert ztb("ping", "--timeout", "0.5").code == 2
        assert ztb.buy("--wait", "0.5").code == 2


# --- a broker that hangs, rejects, or loses an answer --------------------------------------------


def test_the_brokers_no_is_1(ztb: Here, broker: ScriptedBackend) -> None:
    broker.plan.append(rejects())
    ended = ztb.buy()
    assert (ended.code, ended.json["result"]["status"]) == (1, "REJECTED")
    assert ended.json["result"]["code"] == "NO_MONEY"


def test_an_order_that_is_on_its_way_is_4_until_it_is_final(
    ztb: Here, broker: ScriptedBackend
) -> None:
    call = broker.hang()
    sent = ztb("order", "buy", "EURUSD", "0.01", "--yes", "--id", "slow", "--wait", "0.4")
    assert sent.code == 4
    assert "ztb wait slow" in sent.err
    assert ztb("status", "slow").code == 4
    assert ztb("wait", "slow", "--timeout", "0.2").code == 4
    assert ztb("wait", "--timeout", "0.2").code == 4
    late = ztb("fence", "slow", "--json")
    assert (late.code, late.json["dead"]) == (4, False)
    assert ztb("doctor").code == 1
    call.release()
    done = ztb("wait", "slow", "--json")
    assert (done.code, done.json["result"]["status"]) == (0, "FILLED")


def test_an_operators_word_ends_an_unknown_order_and_is_marked_as_such(
    ztb: Here, broker: ScriptedBackend
) -> None:
    broker.settle_ms = 3_600_000
    broker.plan.append(loses(executed=False))
    assert ztb.buy("--id", "lost", "--wait", "0.5").code == 4
    assert ztb("health", "--json").json["health"]["unknown_orders"] == 1
    assert ztb("health").code == 1
    rid = ztb("status", "lost", "--json").json["result"]["rid"]
    words = (rid, "--status", "DENIED", "--reason", "looked at the terminal", "--yes")
    assert ztb("settle", *words, "--operator", ztb.folder / "connector").code == 5
    state = ztb.folder / "connector" / "state"
    assert [row.over for row in local_orders(state, rid)] == [False]
    assert ztb("settle", *words, "--operator", ztb.operator).code == 0
    (written,) = local_orders(state, rid)
    assert (written.over, written.view.status) == (True, "DENIED")
    assert written.view.evidence == "HUMAN"
    ended = ztb("status", "lost", "--json")
    assert (ended.code, ended.json["result"]["status"]) == (5, "DENIED")
    assert ended.json["result"]["evidence"] == "HUMAN"
    assert "HUMAN" in ztb("trace", "lost").out


def test_settling_an_order_of_a_running_client_tells_whether_it_may(
    ztb: Here, broker: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.settle_ms = 3_600_000
    broker.plan.append(loses(executed=False))
    with Connector.from_config(ztb.folder / "connector", client="atlas") as bridge:
        rid = bridge.buy("EURUSD", 0.01, client_order_id="lost", wait=0.3).rid
        words = (rid, "--status", "DENIED", "--reason", "looked", "--yes")
        wait_until(lambda: bridge.health().unknown_orders == 1)
        with monkeypatch.context() as patch:
            # Where an EA attests, the word must be written here too: that client has to stop.
            patch.setattr(Connector, "attests", True)
            refused = ztb("settle", *words, "--operator", ztb.operator)
            assert (refused.code, "stop it, then settle" in refused.err) == (3, True)
            assert bridge.health().unknown_orders == 1
        done = ztb("settle", *words, "--operator", ztb.operator)
        assert (done.code, "client atlas is running" in done.err) == (0, True)
        assert bridge.wait("lost", timeout=10).evidence == "HUMAN"


@pytest.mark.usefixtures("broker")
def test_an_order_that_the_server_never_saw_is_fenced_by_what_was_signed_here(
    ztb: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Connector.from_config(ztb.folder / "connector", client="doomed") as bridge:
        bridge.connect()
        bridge.check_order("EURUSD", "BUY", 0.01)  # the picture that the order is judged by
        with monkeypatch.context() as patch:
            # Taken by the socket, lost by the network.
            patch.setattr(Transport, "send", lambda *_: True)
            lost = bridge.buy("EURUSD", 0.01, client_order_id="swallowed", wait=0.1)
            bridge.close()
    assert lost.status == "UNKNOWN"
    assert ztb("status", "swallowed").code == 4
    ended = ztb("fence", "swallowed", "--json")
    assert (ended.code, ended.json["dead"]) == (0, True)
    assert ended.json["result"]["code"] == "FENCED"


# --- a record that was changed ------------------------------------------------------------------


def test_a_record_that_was_cut_is_found_blocks_entries_and_needs_the_operator(
    ztb: Here, account: Account
) -> None:
    """The server's journal is put back to an earlier copy; what was seen here tells."""
    journal = account.state / "journal.db"
    with Running(account) as running:
        running.ready()
    saved = journal.read_bytes()
    with Running(account) as running:
        running.ready()
        assert ztb.buy().code == 0
        assert ztb("audit", "verify").code == 0
    for path in account.state.glob("journal.db*"):
        path.unlink()
    journal.write_bytes(saved)
    journal.chmod(0o600)
    with Running(account) as running:
        running.ready()
        ended = ztb("audit", "verify", "--json")
        assert ended.code == 1
        assert "history was c" in ended.json["wrong"][0]
        checks = {row["id"]: row for row in ztb("doctor", "--json").json["checks"]}
        assert checks["record.chain"]["state"] == "fail"
        denied = ztb.buy()
        assert (denied.code, denied.json["result"]["code"]) == (5, "LOG_FORK")
        words = ("audit", "accept", "--reason", "restored from a backup", "--yes")
        assert ztb(*words, "--operator", ztb.folder / "connector").code == 5
        assert ztb.buy().code == 5
        accepted = ztb(*words, "--operator", ztb.operator)
        assert accepted.code == 0, accepted
        assert ztb.buy().code == 0
        assert ztb("audit", "verify").code == 0


def test_audit_accept_waits_for_a_strategy_that_still_runs(
    ztb: Here, broker: ScriptedBackend
) -> None:
    assert broker.connected
    with Connector.from_config(ztb.folder / "connector", client="atlas"):
        words = ("--operator", ztb.operator, "--reason", "x", "--yes", "--json")
        ended = ztb("audit", "accept", *words)
    assert (ended.code, ended.json["error"]["code"]) == (3, "CLIENT_IN_USE")


# --- where the configuration comes from ----------------------------------------------------------


def test_the_flag_wins_over_the_environment_and_that_over_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Ztb(capsys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    for name in ("here", "env", "flag"):
        port = free_port()
        words = ("--symbol", "EURUSD", "--max-volume", "1", "--port", port)
        assert run("init", name, *words).code == 0
    shutil.copytree("here/connector/keys", "keys")
    shutil.copy("here/connector/connector.toml", "connector.toml")

    def account(*words: object) -> str:
        return str(run("health", "--json", *words).json["health"]["account"])

    monkeypatch.setattr("bridge_client.queries.QUERY_S", 0.1)
    monkeypatch.setattr("bridge_client.connector.Connector.health", _only_the_account)
    assert account() == "here"
    monkeypatch.setenv("ZTB_CONFIG", str(tmp_path / "env/connector"))
    assert account() == "env"
    assert account("--config", "flag/connector/connector.toml") == "flag"
    monkeypatch.setenv("ZTB_CONFIG", "nowhere.toml")
    ended = run("health", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (3, "NO_CONFIG")


def _only_the_account(bridge: Connector) -> object:
    from bridge_client import Health

    return Health(state="ACTIVE", account=bridge._settings.account)


def test_without_a_configuration_the_nearest_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Ztb(capsys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    assert "ztb init" in run("ping").err
    assert run("init", "demo", "--symbol", "EURUSD", "--max-volume", "1").code == 0
    ended = run("order", "buy", "EURUSD", "0.01", "--yes")
    assert ended.code == 3
    assert f"use --config {Path('demo/connector/connector.toml')}" in ended.err


def test_a_misspelt_key_in_the_configuration_is_3_with_the_nearest_name(ztb: Here) -> None:
    path = ztb.folder / "connector/connector.toml"
    path.write_text(path.read_text("utf-8").replace("max_volume", "max_volumes"), "utf-8")
    ended = ztb("ping", "--json")
    assert ended.code == 3
    assert "max_volume" in ended.json["error"]["detail"]


# --- our own mistakes ----------------------------------------------------------------------------


def test_a_bug_in_a_trade_command_counts_as_unknown_never_as_the_brokers_no(
    ztb: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("boom")

    monkeypatch.setattr(Connector, "send_order", broken)
    ended = ztb.buy()
    assert (ended.code, ended.json["error"]["code"]) == (4, "BUG")
    monkeypatch.setattr(Connector, "get_account", broken)
    ended = ztb("account", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (3, "BUG")

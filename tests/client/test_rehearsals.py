"""The two pages for a bad day, step by step: the server is gone, the strategy machine is gone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bridge_client import Connector, Status
from tests.support.command_line import Ztb
from tests.support.running import Account, Running, make_account
from tests.support.scripted_backend import ScriptedBackend


def _point_at(folder: Path, port: int) -> None:
    file = folder / "connector.toml"
    text = file.read_text("utf-8").replace("max_positions = 1 ", "max_positions = 1000 ")
    text = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", text)
    short = "" if "ttl_ms" in text else "ttl_ms = 1000\n"
    file.write_text(short + text, "utf-8")


@pytest.fixture
def account(tmp_path: Path) -> Account:
    made = make_account(tmp_path)
    for who in ("connector", "operator"):
        _point_at(made.bundle(who), made.port)
    return made


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str]) -> Ztb:
    return Ztb(capsys)


def test_the_server_is_gone_and_every_outcome_is_known_again(account: Account, ztb: Ztb) -> None:
    broker = ScriptedBackend()
    at = ("--config", account.bundle() / "connector.toml")
    with Running(account, broker) as running:
        running.ready()
        with Connector.from_config(account.bundle(), client="atlas") as bridge:
            assert bridge.buy("EURUSD", "0.01", client_order_id="known").status is Status.FILLED
            hang = broker.hang()
            lost = bridge.buy("EURUSD", "0.01", client_order_id="lost", wait=0.3)
            hang.wait_entered()
            assert not lost.final
        hang.release()  # it fills, and nobody is there to hear
    shutil.rmtree(account.state)
    with Running(account, broker) as anew:
        assert anew.alive
        with Connector.from_config(account.bundle(), client="atlas") as bridge:
            found = bridge.wait("lost", timeout=20)
            assert (found.status, found.rid) == ("FILLED", lost.rid)
            assert bridge.buy("EURUSD", "0.01").code == "LOG_FORK"
            ticket = bridge.get_positions()[0].ticket
            assert bridge.close_position(ticket).status is Status.FILLED
        words = ("audit", "accept", "--operator", account.bundle("operator"))
        assert ztb(*words, "--reason", "server rebuilt", "--yes", *at).code == 0
        with Connector.from_config(account.bundle(), client="atlas") as bridge:
            assert bridge.buy("EURUSD", "0.01").status is Status.FILLED
    assert broker.begun(lost.rid) == 1


def test_the_strategy_machine_is_gone_and_a_new_one_takes_its_orders_over(
    account: Account, ztb: Ztb
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as running:
        running.ready()
        with Connector.from_config(account.bundle(), client="atlas") as bridge:
            first = bridge.buy("EURUSD", "0.01", client_order_id="first")
        assert ztb("halt", "--config", account.bundle("operator") / "connector.toml").code == 0
    old = Connector.from_config(account.bundle())
    kid = re.search(r'"kid": ?"([^"]+)"', (account.bundle() / "keys/connector.key").read_text())
    assert kid is not None
    verify = account.folder / "server" / "keys" / f"{kid[1]}.key"
    verify.write_text(verify.read_text().replace('"active"', '"revoked"'))
    assert ztb("keys", "add", "atlas2", "--scope", "trade", "--account", account.folder).code == 0
    _point_at(account.bundle("atlas2"), account.port)
    with Running(account, broker) as anew:
        assert anew.alive
        with old:
            assert old.health(0.5).state == "OFFLINE"
        with Connector.from_config(account.bundle("atlas2"), client="atlas") as bridge:
            bridge.connect(10)
            same = bridge.buy("EURUSD", "0.01", client_order_id="first")
            assert (same.status, same.ticket) == ("FILLED", first.ticket)
            assert bridge.buy("EURUSD", "0.01", client_order_id="second").code == "HALTED"
            assert bridge.close_position(first).status is Status.FILLED
        at = ("--config", account.bundle("atlas2") / "connector.toml")
        words = ("--operator", account.bundle("operator"), "--cause", "OPERATOR")
        assert ztb("resume", *words, "--reason", "new machine", "--yes", *at).code == 0
        with Connector.from_config(account.bundle("atlas2"), client="atlas") as bridge:
            assert bridge.buy("EURUSD", "0.01", client_order_id="third").status is Status.FILLED
    assert broker.begun(first.rid) == 1

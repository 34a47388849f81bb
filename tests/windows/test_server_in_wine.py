"""The server runs on Windows, the strategy on Linux: the product's own connector drives it.

Run by `make windows-check`; see README.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_client import Connector, Status
from tests.support.running import wait_until
from tests.windows.bottle import Bottle
from tests.windows.wine_server import Template, WineAccount, WineServer, make_template


@pytest.fixture(scope="session")
def bottle() -> Bottle:
    return Bottle(os.environ["ZTB_WINE"])


@pytest.fixture(scope="session")
def template(bottle: Bottle) -> Template:
    return make_template(bottle)


@pytest.fixture
def account(bottle: Bottle, template: Template, tmp_path: Path) -> WineAccount:
    return WineAccount(bottle, template, tmp_path)


def connected(account: WineAccount, client: str = "atlas") -> Connector:
    bridge = Connector.from_config(account.bundle(), client=client)
    bridge.connect(60)
    wait_until(lambda: bridge.health().state == "ACTIVE", 60)
    return bridge


@pytest.fixture
def bridge(account: WineAccount) -> Iterator[Connector]:
    with WineServer(account) as server:
        server.wait_for("listening")
        with connected(account) as made:
            yield made


def test_an_order_s_whole_life(bridge: Connector) -> None:
    eu, quote = bridge.get_symbol("EURUSD"), bridge.get_quote("EURUSD")
    opened = bridge.buy("EURUSD", 0.02, sl=eu.price(quote.bid - 0.02, "down"))
    assert opened.status is Status.FILLED, str(opened)
    placed = bridge.buy_limit("EURUSD", 0.01, price=eu.price(quote.bid - 0.05, "down"))
    assert placed.status is Status.WORKING, str(placed)
    moved = bridge.modify_position(opened, sl=eu.price(quote.bid - 0.03, "down"))
    assert moved.status is Status.DONE, str(moved)
    assert bridge.cancel_order(placed).status is Status.DONE
    closed = bridge.close_position(opened)
    assert closed.status in (Status.FILLED, Status.DONE), str(closed)
    assert bridge.get_positions() == []
    assert bridge.order_status(opened).status is Status.FILLED


def test_a_killed_server_comes_back_with_its_journal(account: WineAccount) -> None:
    with WineServer(account) as server:
        server.wait_for("listening")
        with connected(account) as bridge:
            before = bridge.buy("EURUSD", 0.02)
            assert before.status is Status.FILLED, str(before)
        server.kill()
    with WineServer(account) as server:
        server.wait_for("listening")
        with connected(account, "boreas") as bridge:
            again = bridge.order_status(before)
            assert (again.status, again.ticket) == (Status.FILLED, before.ticket)
            assert [p.ticket for p in bridge.get_positions()] == [before.ticket]
            assert bridge.close_position(before.ticket).status in (Status.FILLED, Status.DONE)
        server.press_ctrl_c()
        assert server.wait() == 0
    said = account.bottle.must("-m", "bridge_server", "audit", "--config", account.config)
    assert "records hold" in said, said


def test_a_server_killed_in_a_row_of_orders_knows_each_of_them(account: WineAccount) -> None:
    with WineServer(account) as server:
        server.wait_for("listening")
        with connected(account) as bridge:
            results = [bridge.buy("EURUSD", 0.01) for _ in range(5)]
            server.kill()
            lost = bridge.buy("EURUSD", 0.01, wait=3)
            assert lost.status not in (Status.FILLED, Status.DONE), str(lost)
            results.append(lost)
        with WineServer(account) as second, connected(account, "boreas") as bridge:
            second.wait_for("listening")
            known = [bridge.order_status(one) for one in results]
            filled = [one for one in known if one.status is Status.FILLED]
            tickets = {p.ticket for p in bridge.get_positions()}
            assert tickets == {one.ticket for one in filled}
            assert len(filled) >= 5


def test_ctrl_c_ends_it_cleanly_and_the_lock_and_the_ports_are_free_again(
    account: WineAccount,
) -> None:
    for _ in range(2):
        with WineServer(account) as server:
            server.wait_for("listening")
            server.press_ctrl_c()
            assert server.wait() == 0, server.output
            assert "Traceback" not in server.output
    assert account.log.count("INFO listening") == 2


def test_a_second_server_on_the_same_account_is_refused(account: WineAccount) -> None:
    with WineServer(account) as server:
        server.wait_for("listening")
        code, said = account.bottle.run(
            "-m",
            "bridge_server",
            "run",
            "--config",
            account.config,
            "--port",
            str(account.port + 30),
        )
        assert code == 3, said
        assert "Traceback" not in said
        server.press_ctrl_c()
        assert server.wait() == 0


def test_the_kill_switch_holds_across_a_restart(account: WineAccount) -> None:
    with WineServer(account) as server:
        server.wait_for("listening")
        with connected(account) as bridge:
            bridge.halt("drill")
            assert bridge.buy("EURUSD", 0.01).status is Status.DENIED
        server.kill()
    with WineServer(account) as server:
        server.wait_for("listening")
        with Connector.from_config(account.bundle(), client="boreas") as bridge:
            bridge.connect(60)
            wait_until(lambda: bridge.health().state == "HALTED", 60)
            assert bridge.buy("EURUSD", 0.01).status is Status.DENIED


def test_the_doctor_is_content_and_says_what_it_saw(account: WineAccount) -> None:
    said = account.bottle.must("-m", "bridge_server", "doctor", "--config", account.config)
    assert "owner-only" in said
    assert "\nfail" not in said

"""`ztb-server doctor` at a terminal that cannot be reached, is taken, or has a password file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge_core.host.filelock import FileLock
from bridge_server.checks import run_checks
from bridge_server.checks_mt5 import Visit
from bridge_server.settings import Overrides, load_settings
from bridge_server.wiring import link_spec
from tests.server.mt5.doctor import BLIND, QUICK, House
from tests.support.fake_metatrader5 import ANSWERED, BEFORE, load

Plant = Callable[[House], object]


# --- when it cannot be reached -----------------------------------------------------------------


def _missing(house: House) -> None:
    house.terminal.close()
    Path(house.terminal.path).unlink()


def _uninstalled(house: House) -> None:
    house.terminal.close()


def _not_logged_in(house: House) -> None:
    house.terminal.logged_in = False


def _frozen(house: House) -> None:
    house.terminal.faults.script("terminal_info", BEFORE, "hang")


@pytest.mark.parametrize(
    ("plant", "name", "says", "fix"),
    [
        (_missing, "mt5.path", "no terminal at", "docs/windows.md, step 2"),
        (_uninstalled, "mt5.terminal", "cannot be started (-10003 ", "update itself? Wait"),
        (_not_logged_in, "mt5.terminal", "did not log in", "save the password"),
        (_frozen, "mt5.terminal", "cannot be reached", "Task Manager"),
    ],
)
def test_a_terminal_that_cannot_be_reached_ends_the_visit_with_what_to_do(
    house: House, plant: Plant, name: str, says: str, fix: str
) -> None:
    plant(house)
    found = house.ask()
    house.terminal.faults.release()
    row = found[name]
    assert (row.state, says in row.finding) == ("fail", True), row
    assert fix in row.fix
    assert list(found)[-1] == "mt5.terminal"  # nothing is claimed of what was not seen
    assert found["mt5.terminal"].state in ("fail", "skip")


def test_a_terminal_that_does_not_run_is_started(house: House) -> None:
    house.terminal.stop()
    assert house.one("mt5.terminal").state == "ok"
    assert house.terminal.launch.portable is True


def test_a_terminal_that_does_not_come_up_is_not_waited_for_for_ever(house: House) -> None:
    house.terminal.stop()
    house.terminal.launch.hang = True
    found = house.ask(Visit(load=load, patience_s=0.3, pace=QUICK))
    row = found["mt5.terminal"]
    assert (row.state, row.finding) == ("fail", "the terminal does not come up")
    assert "start it by hand" in row.fix


def test_a_terminal_in_another_folder_is_not_taken_for_ours(house: House) -> None:
    def move(shown: dict[str, object]) -> dict[str, object]:
        return {**shown, "path": str(house.folder)}

    house.terminal.faults.script("terminal_info", ANSWERED, "alter", times=1_000, change=move)
    found = house.ask()
    row = found["mt5.terminal"]
    assert (row.state, "another one answers" in row.finding) == ("fail", True), row
    assert list(found)[-1] == "mt5.terminal"


def test_a_package_that_cannot_be_loaded_is_told(house: House) -> None:
    found = run_checks(
        house.account.config, Overrides(), visit=Visit(load=_no_package, patience_s=15)
    )
    row = next(one for one in found if one.id == "mt5.terminal")
    assert row.state == "fail"
    assert "MetaTrader5 cannot be loaded" in row.finding
    assert "pip install MetaTrader5" in row.fix


def _no_package() -> object:
    raise ImportError("DLL load failed")


def test_where_the_package_cannot_be_the_machine_is_named(house: House) -> None:
    found = {one.id: one for one in run_checks(house.account.config, Overrides())}
    row = found["mt5.package"]
    assert (row.state, "Windows only" in row.finding) == ("fail", True)
    assert "docs/windows.md" in row.fix
    assert found["mt5.terminal"].state == "skip"


def test_a_running_server_s_terminal_is_left_alone(house: House) -> None:
    settings = load_settings(house.account.config, Overrides())
    spec = link_spec(settings, house.account.config.parent, trading=True)
    assert spec.lock is not None
    lock = FileLock(spec.lock, "ztb-server")
    lock.acquire()
    found = house.ask()
    lock.release()
    row = found["mt5.terminal"]
    assert (row.state, row.finding) == ("skip", "a running server has this terminal")
    assert not house.terminal.calls
    assert house.ask()["mt5.terminal"].state == "ok"


# --- the .env file -----------------------------------------------------------------------------


def test_an_env_file_that_others_can_read_is_told_and_mended_when_asked_to(house: House) -> None:
    env = house.account.config.parent / ".env"
    env.write_text("MT5_PASSWORD=s3cret-of-5001234\n")
    env.chmod(0o644)
    house.account.edit("portable = true", 'portable = true\nenv = ".env"')
    found = run_checks(house.account.config, Overrides(), visit=BLIND)
    assert [one.state for one in found if one.id == "config"] == ["fail"]
    assert "can be read by others" in found[-1].finding
    again = run_checks(house.account.config, Overrides(), visit=BLIND, fix_permissions=True)
    states = {one.id: one.state for one in again}
    assert (states["config"], states["mt5.terminal"]) == ("ok", "ok")
    assert "s3cret" not in "".join(one.finding + one.fix for one in (*found, *again))
    assert "password" not in {key for call in house.terminal.calls for key in call.args}


def test_a_password_that_belongs_to_no_account_is_told_with_the_line(house: House) -> None:
    house.rehearsal()
    env = house.account.config.parent / ".env"
    env.write_text("MT5_PASSWORD=s3cret-of-5001234\n")
    env.chmod(0o600)
    house.account.edit("portable = true", 'portable = true\nenv = ".env"')
    found = house.ask()
    assert list(found) == ["mt5.env"]
    assert found["mt5.env"].finding.endswith("MT5_PASSWORD belongs to no account")
    assert found["mt5.env"].fix.startswith("add terminal = {")

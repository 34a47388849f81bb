"""What is different on Windows and no other test looks at. Skipped elsewhere."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from bridge_core.host import keyfiles, logs, windows_acl
from bridge_core.host.filelock import FileLock
from bridge_core.host.sqlite import open_database
from bridge_core.protocol.errors import ConfigError
from bridge_server import cli
from bridge_server.checks import Finding, run_checks
from bridge_server.core.trading_state import TradingState
from bridge_server.guard import read_halted, write_halted
from bridge_server.settings import Overrides, ServerSettings
from bridge_server.wiring import Server, build_server
from tests.support.running import Account, Process, make_account, wait_until

assert sys.platform == "win32"  # conftest.py leaves it out elsewhere

UNDER_WINE = hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")
not_in_wine = pytest.mark.skipif(UNDER_WINE, reason="platform: wine 8.0 has no Ctrl-Break")


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return make_account(tmp_path)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the signal handlers of this process back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
    kept = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


# --- signals -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGBREAK])
def test_each_signal_to_stop_ends_the_server_cleanly(
    account: Account, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def build(settings: ServerSettings, base: Path, *, debug: bool) -> Server:
        server = build_server(settings, base, debug=debug)

        def when_it_serves() -> None:
            client = account.client()
            wait_until(lambda: client.hello().state == "ACTIVE", 30)
            client.close()
            signal.raise_signal(number)

        threading.Thread(target=when_it_serves, daemon=True).start()
        return server

    monkeypatch.setattr(cli, "build_server", build)
    assert cli.main(["run", "--config", str(account.config)]) == 0


@not_in_wine
def test_ctrl_break_as_services_send_it_ends_the_server_cleanly(account: Account) -> None:
    command = [sys.executable, "-m", "bridge_server", "run", "--config", str(account.config)]
    with subprocess.Popen(command, creationflags=subprocess.CREATE_NEW_PROCESS_GROUP) as process:
        try:
            client = account.client()
            wait_until(lambda: client.hello().state == "ACTIVE", 60)
            os.kill(process.pid, signal.CTRL_BREAK_EVENT)
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_a_terminated_server_comes_back_with_its_orders(account: Account) -> None:
    with Process(account) as server:
        order = server.ready().open().order()
        server.kill()
    with Process(account) as server:
        again = server.ready().status(order.rid)
        assert again.subject().ticket == order.ticket


# --- processes -----------------------------------------------------------------------------------


def _child(pipe: Connection, lock: str) -> None:
    try:
        FileLock(Path(lock), "child").acquire()
        pipe.send("taken")
    except ConfigError as error:
        pipe.send(error.detail)


def test_a_spawned_process_inherits_no_lock_and_speaks_over_its_pipe(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "x.lock", "parent")
    lock.acquire()
    here, there = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=_child, args=(there, str(tmp_path / "x.lock"))
    )
    child.start()
    try:
        assert here.poll(120)
        assert f"process {os.getpid()}" in here.recv()
    finally:
        child.join(120)
    assert child.exitcode == 0
    lock.release()


def _wait_for_end(pipe: Connection) -> None:
    with contextlib.suppress(EOFError):
        pipe.recv()


def test_a_spawned_process_sees_the_end_of_its_pipe() -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_wait_for_end, args=(there,))
    child.start()
    there.close()
    here.close()
    child.join(120)
    assert child.exitcode == 0


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["with space", "Jürgen Müller", "счёт", "100% & (test)"])
def test_an_account_may_lie_in_any_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    account = make_account(folder)
    with Process(account) as server:
        assert server.ready().open().status == "FILLED"


def test_a_key_file_that_others_may_open_is_refused_until_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    keyfiles.write_secret_file(path, b"x" * 40)
    assert keyfiles.read_secret_file(path) == b"x" * 40
    _open_to_everybody(path)
    assert windows_acl.read_problem(path) == "can be opened by WD"
    with pytest.raises(ConfigError, match="can be opened by WD: run `icacls"):
        keyfiles.read_secret_file(path)
    windows_acl.make_private(path)
    assert windows_acl.read_problem(path) is None
    assert keyfiles.read_secret_file(path) == b"x" * 40


def test_the_doctor_finds_an_open_key_and_mends_it_when_asked_to(account: Account) -> None:
    key = account.config.parent / "keys" / "server.key"

    def findings(*, fix: bool) -> dict[str, Finding]:
        found = run_checks(account.config, Overrides(), fix_permissions=fix)
        return {one.id: one for one in found}

    assert findings(fix=False)["keys"].state == "ok"
    _open_to_everybody(key)
    told = findings(fix=False)["keys"]
    assert (told.state, "can be opened by WD" in told.finding) == ("fail", True)
    assert told.fix.startswith("run `icacls"), told.fix
    assert findings(fix=True)["keys"].state == "ok"
    assert windows_acl.read_problem(key) is None


def _open_to_everybody(path: Path) -> None:
    """Give Everyone the right to read, as an inherited list of a shared folder does."""
    sddl = windows_acl.private_sddl(windows_acl._user_sid(), folder=False) + "(A;;FR;;;WD)"
    descriptor = ctypes.c_void_p()
    assert windows_acl._advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(
        sddl, 1, ctypes.byref(descriptor), None
    )
    assert windows_acl._advapi.SetFileSecurityW(str(path), windows_acl._DACL_PROTECTED, descriptor)
    windows_acl._kernel.LocalFree(descriptor)


def test_a_journal_in_use_is_not_taken_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    held = open_database(path, exclusive=True)
    code = (
        "import sys, pathlib\n"
        "from bridge_core.host.sqlite import open_database\n"
        "from bridge_core.protocol.errors import ConfigError\n"
        "try:\n    open_database(pathlib.Path(sys.argv[1]), exclusive=True)\n"
        "except ConfigError as error:\n    print(error.code)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert said.stdout.strip() == "JOURNAL_IN_USE", said.stderr
    held.close()
    with contextlib.closing(open_database(path, exclusive=True)) as again:
        assert again.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with contextlib.closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_log_that_somebody_reads_loses_no_line_and_no_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_FILE_BYTES_MAX", 2_000)
    file = tmp_path / "server.log"
    logger = logs.setup_logging("ztb.inside", file=file, debug=False)
    logger.removeHandler(logger.handlers[0])

    def write(first: int, last: int) -> None:
        for n in range(first, last):
            logs.log_event(logger, logging.INFO, "x", n=n)

    write(0, 50)
    older = {path.name: path.read_bytes() for path in tmp_path.glob("server.log.*")}
    with file.open("rb"):
        write(50, 250)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("server.log.*")} == older
    lines = file.read_text("ascii").splitlines()
    assert [line.rpartition("n=")[2] for line in lines[-200:]] == [str(n) for n in range(50, 250)]
    write(250, 350)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    assert file.stat().st_size <= 2_000


def test_a_stop_is_kept_although_somebody_reads_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "halted"
    write_halted(path, TradingState.REDUCE_ONLY, "0" * 32, "first")
    reader = path.open("rb")
    threading.Timer(0.15, reader.close).start()
    write_halted(path, TradingState.HALTED, "1" * 32, "second")
    assert read_halted(path) == (TradingState.HALTED, f"{'1' * 32} second")

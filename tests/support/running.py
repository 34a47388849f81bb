"""Real servers for tests: accounts made by `ztb init`, run in a thread or in a process of its own.

In a thread a test can hand in its own backend and clock and look inside; in a process it can be
killed. Either way the sockets, the keys and the files are the product's own.
"""

from __future__ import annotations

import atexit
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, Self

from bridge_core.host.clock import Clock
from bridge_core.host.filelock import FileLock
from bridge_core.host.sqlite import Reserve
from bridge_core.protocol.errors import ConfigError
from bridge_server.core.ports import Backend
from bridge_server.settings import Overrides, load_settings
from bridge_server.wiring import Server, build_server
from tests.support.raw_client import RawClient
from tests.support.scripted_backend import ScriptedBackend

__all__ = [
    "Account", "Process", "Running", "copy_account", "free_port", "make_account", "make_reserve",
    "remove_template", "run_ztb", "wait_until",
]  # fmt: skip

ROOT: Final = Path(__file__).resolve().parents[2]
# Starting a process takes long on Windows, and seconds under wine.
_SLOW: Final = 8 if sys.platform == "win32" else 1
_START_S: Final = 15.0
_PORTS: Final = list(range(6_000, 20_000 - 2, 3))
_taken: Final[dict[int, FileLock]] = {}
_choosing: Final = threading.Lock()


def wait_until(holds: Callable[[], bool], seconds: float = 15.0, every: float = 0.01) -> None:
    """Wait until something holds, looking `every` so many seconds; fail if it does not in time.

    What asks a process again and again should leave it the time to do what is waited for, and a
    server answers a key only so many questions a second.
    """
    until = time.monotonic() + seconds * _SLOW
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(every)


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _claim(port: int) -> bool:
    # Between the look and the bind another test process may look too: a lock tells them apart, in
    # one folder for all of them. A worker's own temporary folder would be another for each.
    shared = os.environ.get("ZTB_TEST_PORTS") or tempfile.gettempdir()
    folder = Path(shared) / f"ztb-test-ports-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / str(port), "tests")
    try:
        lock.acquire()
    except ConfigError:
        return False
    _taken[port] = lock
    return True


def free_port() -> int:
    """Return P such that P, P+1 and P+2 are free, below the ports that clients are given.

    They are this process's until it ends.
    """
    # Below those that the product itself gives to a demo or a strategy's test.
    first = os.getpid() * 37 % len(_PORTS)
    with _choosing:  # a file lock does not tell the threads of one process apart
        for port in _PORTS[first:] + _PORTS[:first]:
            # The lock first: a look binds the port for a moment, and a server that restarts on a
            # port of another test's would find it in use.
            claimed = port not in _taken and _claim(port)
            if claimed and all(_is_free(port + k) for k in range(3)):
                return port
    raise AssertionError("no free ports")


def run_ztb(*words: str) -> None:
    """Run one `ztb` command, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "bridge_client", *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@cache
def _template() -> Path:
    # Made once by the command a user runs; every test gets a copy with keys of its own test run.
    folder = Path(tempfile.mkdtemp(prefix="ztb-e2e-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run_ztb("init", "demo", "--symbol", "EURUSD", "--max-volume", "1", "--out", str(folder))
    for scope in ("query", "reduce", "trade"):
        run_ztb("keys", "add", scope, "--scope", scope, "--account", str(folder / "demo"))
    make_reserve(folder / "demo")
    return folder


def make_reserve(account: Path) -> None:
    """Make the journal's reserve of an account that `copy_account` will copy."""
    state = account / "server" / "state"
    state.mkdir(mode=0o700)
    Reserve(state / "journal.db").ensure()


def copy_account(model: Path, folder: Path) -> None:
    """Copy an account's folder. Its reserve is only ever removed, never written to: one for all."""
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("reserve"))
    reserve = "server/state/reserve"
    os.link(model / reserve, folder / reserve)


def remove_template() -> None:
    """Remove what `_template` made; at the end of the process it goes by itself."""
    if _template.cache_info().currsize:
        shutil.rmtree(_template(), ignore_errors=True)
        _template.cache_clear()


class Account(NamedTuple):
    """One account's folder and port."""

    folder: Path
    port: int

    @property
    def config(self) -> Path:
        return self.folder / "server" / "server.toml"

    @property
    def state(self) -> Path:
        return self.folder / "server" / "state"

    @property
    def log(self) -> str:
        return (self.folder / "server" / "log" / "server.log").read_text("ascii")

    def bundle(self, who: str = "connector") -> Path:
        """Return a bundle's folder: connector, operator, or a scope made by `ztb keys add`."""
        return self.folder / who

    def client(self, who: str = "connector") -> RawClient:
        """Return a client that has said HELLO."""
        return RawClient.of(self.bundle(who), self.port)

    def edit(self, old: str, new: str) -> None:
        """Change the server's configuration."""
        text = self.config.read_text("utf-8")
        assert old in text
        self.config.write_text(text.replace(old, new), "utf-8")


def make_account(folder: Path, *, extra: str = "") -> Account:
    """Return an account of its own with limits that do not get in the way."""
    copy_account(_template() / "demo", folder / "demo")
    port = free_port()
    account = Account(folder / "demo", port)
    lines = account.config.read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("port", "max_positions", "paper."))]
    text = "\n".join(kept) + "\nmax_positions = 1000\n"
    account.config.write_text(f"port = {port}\n{extra}\n{text}", "utf-8")
    return account


class Running:
    """A server in a thread of this process. `server` may be looked into while it runs."""

    def __init__(
        self, account: Account, backend: Backend | None = None, clock: Clock | None = None
    ) -> None:
        self.account = account
        self.server = self._build(account, backend, clock)
        self.backend = self.server.context.backend
        self.exit_code: int | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._clients: list[RawClient] = []

    def _build(self, account: Account, backend: Backend | None, clock: Clock | None) -> Server:
        settings = load_settings(account.config, Overrides())
        base = account.config.parent
        chosen = backend if backend is not None else ScriptedBackend(clock)
        return build_server(settings, base, make_backend=lambda *_: chosen, clock=clock)

    def _run(self) -> None:
        try:
            self.exit_code = self.server.run()
        except BaseException as error:  # noqa: BLE001  the test's thread has to see it
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def client(self, who: str = "connector") -> RawClient:
        """Return a client that is closed with the server."""
        client = self.account.client(who)
        self._clients.append(client)
        return client

    def ready(self, who: str = "connector") -> RawClient:
        """Return a client once the server takes entries."""
        client = self.client(who)
        wait_until(lambda: client.hello().state == "ACTIVE")
        return client

    @property
    def scripted(self) -> ScriptedBackend:
        assert isinstance(self.backend, ScriptedBackend)
        return self.backend

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def ask_stop(self) -> None:
        """Ask it to end, as SIGTERM does."""
        self.server.service.ask_stop()

    def join(self, seconds: float = 15.0) -> int | None:
        """Wait for its end and return the exit code."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the server does not end"
        return self.exit_code

    def stop(self) -> None:
        """End it and everything it holds; a hanging call is let go."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        if isinstance(self.backend, ScriptedBackend):
            self.backend.let_go()
        if self._thread.is_alive():
            self.ask_stop()
            self.join()
        if self.error is not None:
            raise self.error


class Process:
    """A server in a process of its own, on the paper broker."""

    def __init__(self, account: Account, module: str = "bridge_server") -> None:
        self.account = account
        command = [sys.executable, "-m", module, "run", "--config", str(account.config)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self._clients: list[RawClient] = []
        self.stderr = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        self.kill()

    def client(self, who: str = "connector") -> RawClient:
        """Return a client, once the server answers."""
        wait_until(self._listens, _START_S)
        try:
            client = self.account.client(who)
        except TimeoutError as late:
            self.kill()
            raise AssertionError(
                f"it lets nobody in; exit {self.exit_code}: {self.stderr}"
            ) from late
        self._clients.append(client)
        return client

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.finish()
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.account.port)) == 0

    def ready(self) -> RawClient:
        """Return a client once the server takes entries."""
        client = self.client()
        wait_until(lambda: client.hello().state == "ACTIVE", _START_S)
        return client

    def terminate(self) -> None:
        """Ask it to end."""
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL it, if it still lives."""
        if self._process.poll() is None:
            self._process.kill()
        self.finish()

    def finish(self, seconds: float = 15.0) -> str:
        """Wait for its end and return what it wrote to stderr."""
        if self._process.stderr is not None and not self._process.stderr.closed:
            _, self.stderr = self._process.communicate(timeout=seconds)
        return self.stderr

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

"""A fake terminal: it lives on while workers and servers die, and dies while they live.

It is a thread or two of the test's process, reached over a local socket that the client finds by
the path of `terminal64.exe`. Beside it a launcher stands for the operating system: an installed
terminal that does not run is started by `initialize`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec

from tests.support.fake_metatrader5.broker import Broker
from tests.support.fake_metatrader5.desk import Desk, HungUpError
from tests.support.fake_metatrader5.faults import Faults, Later
from tests.support.fake_metatrader5.pipe import (
    NEAR,
    Answer,
    Ask,
    pipe_name,
    read_frame,
    write_frame,
)

__all__ = ["Call", "FakeTerminal", "Launch"]

_BUILD: Final = 5_833


class Call(NamedTuple):
    """A call that has reached the terminal; of `order_send` the args are the whole request."""

    name: str
    args: dict[str, Any]
    wall_ms: int
    pid: int


@dataclass
class Launch:
    """What happens when `initialize` starts the terminal.

    `after_s` are seconds before scaling; `refuse` non-empty: the process cannot be created.
    """

    after_s: float = 0.0
    refuse: bool = False
    hang: bool = False
    count: int = 0
    portable: bool | None = None  # what the last start was asked for


class _Listener:
    """A named socket and a thread for each that comes."""

    def __init__(self, name: str, serve: Callable[[socket.socket, _Listener], None]) -> None:
        self._serve = serve
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.over = False
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.bind(name)
        self._sock.listen(64)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._sock.accept()
            except OSError:
                return
            with self._lock:
                if self.over:
                    one.close()
                    return
                self._open.add(one)
            threading.Thread(target=self._one, args=(one,), daemon=True).start()

    def _one(self, sock: socket.socket) -> None:
        try:
            self._serve(sock, self)
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def close(self) -> None:
        """End at once; whoever is connected reads an end."""
        with self._lock:
            self.over = True
            for sock in (self._sock, *self._open):
                _cut(sock)
        self._accepting.join()  # or its name would not be free yet
        self._sock.close()


def _cut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other end was faster


class _Line:
    """One client, as the desk sees it."""

    def __init__(self, sock: socket.socket, terminal: _Listener) -> None:
        self._sock = sock
        self._terminal = terminal

    def gone(self) -> bool:
        """Whether the caller, or the terminal itself, is no more."""
        if self._terminal.over:
            return True
        try:
            return not self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


class _Near:
    """One client of this process, who calls in a thread of its own. There is no other."""

    def __init__(self, terminal: FakeTerminal, listener: _Listener) -> None:
        self._terminal = terminal
        self._listener = listener
        self._desk = Desk(terminal, self)
        self._closed = False

    def gone(self) -> bool:
        return self._closed or self._listener.over

    def take(self, body: bytes) -> list[bytes] | None:
        if self.gone():
            return None
        try:
            return self._terminal.answers(body, self._desk)
        except HungUpError:
            return None

    def close(self) -> None:
        self._closed = True


class FakeTerminal:
    """One terminal, its folder and its broker. All waits of clients are multiplied by `scale`.

    `near`: clients of this process get at it without a socket (pipe.py).
    """

    def __init__(
        self, folder: Path, broker: Broker, scale: float = 1.0, *, near: bool = False
    ) -> None:
        self.broker: Broker = broker
        self._near = near
        self.scale = scale
        self.faults = Faults()
        self.calls: list[Call] = []
        self.later: list[Later] = []
        self.launch = Launch()
        # What terminal_info and initialize tell; a test sets them at any time.
        self.trade_allowed = True
        self.tradeapi_disabled = False
        self.build: int = _BUILD
        self.released: str = "07 Nov 2026"
        self.ping_us = 12_345
        self.maxbars = 100_000
        self.company = "Fake Broker Ltd."
        self.name = "Fake MetaTrader 5"
        self.logged_in = True
        self.passwords: dict[tuple[int, str], str] = {}
        self.one_time_password = False
        self.passwords_seen = 0  # how often a client has sent one
        self.clients_max = 1
        self.depth: dict[str, Iterable[dict[str, Any]]] = {}
        self.bars: dict[str, Iterable[tuple[Any, ...]]] = {}
        self.ticks: dict[str, Iterable[tuple[Any, ...]]] = {}
        self._account: dict[str, Any] = {}
        self._refused = False
        self._pipe: _Listener | None = None
        self._launcher: _Listener | None = None
        self._changing = threading.RLock()
        self._free = threading.Condition()
        self._clients = 0
        folder.mkdir(parents=True, exist_ok=True)
        exe = folder / "terminal64.exe"
        exe.write_text("A fake terminal of tests/support/fake_metatrader5.\n", "ascii")
        self.path = str(exe)

    # --- life -----------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether its pipe is there."""
        return self._pipe is not None

    def install(self) -> None:
        """Let `initialize` start it."""
        with self._changing:
            if self._launcher is None:
                self._launcher = _Listener(pipe_name(self.path, "launcher"), self._launched)

    def start(self) -> None:
        """Run, as by a double click."""
        self.install()
        with self._changing:
            if self._pipe is None:
                name = pipe_name(self.path)
                self._pipe = pipe = _Listener(name, self._serve)
                if self._near:
                    NEAR[name] = lambda: _Near(self, pipe)

    def stop(self) -> None:
        """End. Clients see the same as after a kill: their pipe has ended."""
        with self._changing:
            pipe, self._pipe = self._pipe, None
            if pipe is not None:
                NEAR.pop(pipe_name(self.path), None)
                pipe.close()

    kill = stop

    def restart(self, after_s: float = 0.0) -> None:
        """End, and run again after a while; returns at once if there is a while."""
        self.stop()
        if after_s:
            timer = Later(after_s, self.start)
            self.later.append(timer)
            timer.start()
        else:
            self.start()

    def close(self) -> None:
        """End, and take away the launcher; nothing of it stays behind."""
        self.faults.calm()
        for timer in self.later:
            timer.cancel()
        self.stop()
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- for a test -----------------------------------------------------------------------------

    def count(self, name: str) -> int:
        """Return how many calls of a function have reached it."""
        return sum(call.name == name for call in list(self.calls))

    def login_as(self, **account: Any) -> None:
        """Show another account from now on: fields of account_info; none: the broker's again."""
        self._account = account

    @property
    def connected(self) -> bool:
        """Whether it has a link to the broker: `broker.link(False)` cuts it."""
        return bool(self.broker.connected)

    def info(self) -> dict[str, Any]:
        """Return the fields of terminal_info."""
        folder = str(Path(self.path).parent)
        return {
            "community_account": False, "community_connection": False,
            "connected": self.connected and self.logged_in, "dlls_allowed": False,
            "trade_allowed": self.trade_allowed, "tradeapi_disabled": self.tradeapi_disabled,
            "email_enabled": False, "ftp_enabled": False, "notifications_enabled": False,
            "mqid": False, "build": self.build, "maxbars": self.maxbars, "codepage": 1252,
            "ping_last": self.ping_us, "community_balance": 0.0, "retransmission": 0.0,
            "company": self.company, "name": self.name, "language": "English", "path": folder,
            "data_path": folder, "commondata_path": folder,
        }  # fmt: skip

    def account(self) -> dict[str, Any]:
        """Return the fields of account_info."""
        return dict(self.broker.account()) | self._account

    def log(self, ask: Ask) -> None:
        """Note a call that has reached it."""
        self.calls.append(Call(ask.name, ask.args, time.time_ns() // 1_000_000, ask.pid))

    # --- its threads ----------------------------------------------------------------------------

    def _launched(self, sock: socket.socket, _listener: _Listener) -> None:
        while (body := read_frame(sock)) is not None:
            ask = msgspec.msgpack.decode(body, type=Ask)
            launch = self.launch
            launch.count += 1
            launch.portable = ask.args["portable"]
            code = -1 if launch.refuse else 1
            with suppress(OSError):  # who asked may have been ended meanwhile
                write_frame(
                    sock, msgspec.msgpack.encode(Answer(ask.name, {"scale": self.scale}, code))
                )
            if code == 1 and not launch.hang:
                self.restart(launch.after_s * self.scale)

    def _serve(self, sock: socket.socket, listener: _Listener) -> None:
        line = _Line(sock, listener)
        if not self._enter(line):
            return
        try:
            self._talk(sock, line)
        except (OSError, HungUpError):
            return  # the client, or the terminal, is gone
        finally:
            with self._free:
                self._clients -= 1
                self._free.notify_all()

    def _enter(self, line: _Line) -> bool:
        """Wait until no other client holds the terminal: without an end, as the real one."""
        with self._free:
            while self._clients >= self.clients_max:
                self._free.wait(0.02)
                if line.gone():
                    return False
            self._clients += 1
        return True

    def _talk(self, sock: socket.socket, line: _Line) -> None:
        desk = Desk(self, line)
        while (body := read_frame(sock)) is not None:
            for answer in self.answers(body, desk):
                write_frame(sock, answer)

    def answers(self, body: bytes, desk: Desk) -> list[bytes]:
        """Return what is sent for a message.

        Raises:
            HungUpError: the connection ends instead.
        """
        ask = msgspec.msgpack.decode(body, type=Ask)
        told = self._greeted(ask) or desk.answer(ask)
        return [msgspec.msgpack.encode(answer) for answer in told]

    def _greeted(self, ask: Ask) -> list[Answer] | None:
        """Answer what initialize and login ask for beside the calls."""
        match ask.name:
            case "hello":
                self._refused = False
                return [Answer(ask.name, {"scale": self.scale})]
            case "login":
                if self.one_time_password:
                    return [Answer(ask.name, code=-7)]
                self._log_in(ask)
                return [Answer(ask.name, value=True)]
            case "status":
                return [Answer(ask.name, self._status())]
        return None

    def _status(self) -> str:
        if self._refused:
            return "refused"
        return "ready" if self.logged_in else "waiting"

    def _log_in(self, ask: Ask) -> None:
        password = ask.args.pop("password", None)
        self.passwords_seen += password is not None
        self.log(ask)
        shown = self.account()
        login = ask.args.get("login", shown["login"])
        server = ask.args.get("server", shown["server"])
        same = (login, server) == (shown["login"], shown["server"])
        if password is None:  # the one that is saved, if there is one
            self._refused = not (same or (login, server) in self.passwords)
        else:
            self._refused = self.passwords.get((login, server)) != password
        if not self._refused:
            self.logged_in = True
            if not same:
                self._account = self._account | {"login": login, "server": server}

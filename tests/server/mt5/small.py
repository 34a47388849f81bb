"""A terminal of thirty lines for the link's own tests: its state is files, so any process sees it.

`folder/account.json` and `terminal.json` are what it shows; `say.json` maps a function's name to
the error it answers with; `hang.json` to how long it holds the interpreter's lock. Every call is a
line in `calls`.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import structs

from bridge_core.host.clock import SystemClock
from bridge_core.host.keyfiles import put_in_place
from bridge_core.protocol.deadline import Deadline
from bridge_server.backends.mt5_link import LinkSpec, Mt5Link, Pace
from bridge_server.backends.mt5_pins import Mt5Pins

ACCOUNT = {
    "login": 7001, "server": "Small-Demo", "trade_mode": 0, "margin_mode": 2,
    "trade_allowed": True, "trade_expert": True,
}  # fmt: skip
PINS = Mt5Pins(login=7001, server="Small-Demo", kind="demo", margin="hedging")
QUICK = Pace(
    read_ms=1_000, trade_ms=1_500, connect_ms=2_000, beat_ms=50, stale_ms=800,
    retry_ms_min=20, retry_ms_max=200, refused_ms=300,
)  # fmt: skip


class _Small:
    __version__ = "5.0.1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.error = (0, "")

    def __getattr__(self, name: str) -> Any:
        return partial(self._do, name)

    def last_error(self) -> tuple[int, str]:
        return self.error

    def _do(self, name: str, *args: object, **kwargs: object) -> object:
        self.error = (1, "Success")
        line = json.dumps([name, list(args), kwargs, os.getpid()])
        with (self.folder / "calls").open("a") as file:
            file.write(line + "\n")
        held = _read(self.folder / "hang.json").get(name)
        if held is not None:
            _hold(held)
        error = _read(self.folder / "say.json").get(name)
        if error is not None:
            self.error = (error[0], error[1])
            return False if name in ("initialize", "login") else None
        if name in ("account_info", "terminal_info"):
            return Record.of(_read(self.folder / f"{name.partition('_')[0]}.json"))
        if name == "order_send":
            return Record.of({"retcode": 10009, "request": Record.of({"symbol": "EURUSD"})})
        return () if name.endswith("_get") else True


def _hold(seconds: float) -> None:
    """Stand still with the interpreter's lock held, as the real module does: PyDLL keeps it."""
    if sys.platform == "win32":
        ctypes.PyDLL("kernel32").Sleep(int(seconds * 1_000))
    else:
        ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


class Record(tuple[object, ...]):
    """As the package's: a tuple with `_asdict`, which cannot be pickled."""

    __slots__ = ()
    fields: dict[int, dict[str, object]] = {}

    @classmethod
    def of(cls, fields: dict[str, object]) -> Record:
        record = cls(fields.values())
        cls.fields[id(record)] = fields
        return record

    def _asdict(self) -> dict[str, object]:
        return dict(self.fields[id(self)])

    def __reduce__(self) -> str:
        raise TypeError("attribute lookup Record on builtins failed")


def _read(path: Path) -> dict[str, Any]:
    while True:
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except PermissionError:  # on Windows, while another file is being put in its place
            time.sleep(0.01)
        else:
            return found


# Nobody looks in between: a test that stops the worker would else stop it in such a look.
UNWATCHED = structs.replace(QUICK, beat_ms=60_000, trade_ms=60_000)


def load(folder: str) -> object:
    return _Small(Path(folder))


class Small:
    """The same terminal as a test sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = str(folder / "terminal64.exe")
        Path(self.path).write_text("")
        self.account()
        self.terminal()

    def account(self, **changes: object) -> None:
        self._write("account.json", ACCOUNT | changes)

    def terminal(self, **changes: object) -> None:
        shown = {"path": str(self.folder), "connected": True, "trade_allowed": True,
                 "tradeapi_disabled": False, "build": 4000, "ping_last": 1500}  # fmt: skip
        self._write("terminal.json", shown | changes)

    def say(self, **errors: tuple[int, str]) -> None:
        self._write("say.json", errors)

    def hang(self, **seconds: float) -> None:
        self._write("hang.json", seconds)

    def _write(self, name: str, value: object) -> None:
        fresh = self.folder / f"{name}.new"
        fresh.write_text(json.dumps(value))
        put_in_place(fresh, self.folder / name)

    def calls(self, name: str) -> list[tuple[list[object], dict[str, object], int]]:
        path = self.folder / "calls"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(row[1], row[2], row[3]) for row in rows if row[0] == name]

    def spec(self, **changes: object) -> LinkSpec:
        words: dict[str, Any] = {
            "path": self.path, "portable": True, "pins": PINS, "trading": True, "pace": QUICK,
            "load": partial(load, str(self.folder)), "lock": self.folder / "lock",
        }  # fmt: skip
        return LinkSpec(**(words | changes))


@contextmanager
def linked(spec: LinkSpec, *, joined: bool = True) -> Iterator[Mt5Link]:
    """Start a link, wait for its connection, close it."""
    link = Mt5Link(spec, SystemClock())
    link.start()
    try:
        assert not joined or link.wait(10), link.status.why
        yield link
    finally:
        link.close()


def soon(seconds: float) -> Deadline:
    """Return a deadline so many seconds from now."""
    ms = int(seconds * 1000)
    return Deadline(time.time_ns() // 1_000_000 + ms, time.monotonic_ns() // 1_000_000 + ms)

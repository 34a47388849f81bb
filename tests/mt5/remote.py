"""A client of the fake package in a process of its own, as the real one always is.

with Remote() as client:
    assert client.call("initialize", terminal.path).value
    client.begin("order_send", request)     # does not wait
    client.kill()                           # SIGKILL, in the middle of it
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from tests.support.fake_metatrader5 import FakeTerminal, load
from tests.support.fake_metatrader5.broker import Broker, SymbolTerms, Terms

__all__ = ["BUY", "Remote", "Said", "terminal_in"]

_SPAWN: Final = mp.get_context("spawn")
BUY: Final[dict[str, Any]] = {
    "action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": 1.1001, "type_filling": 1,
    "deviation": 10, "magic": 77, "comment": "one",
}  # fmt: skip


def terminal_in(folder: Path, **terms: Any) -> FakeTerminal:
    """Return a terminal, not started, with a hedging account and a quote of EURUSD."""
    broker = Broker(Terms(symbols=(SymbolTerms(selected=True),), **terms))
    broker.price("EURUSD", "1.10000", "1.10010")
    return FakeTerminal(folder, broker, scale=0.01)


class Said(NamedTuple):
    """What a call gave: records as dictionaries."""

    value: Any
    error: tuple[int, str]
    beats: int  # how often another thread of the process ran during the call


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _beat(beats: list[int]) -> None:
    while True:
        beats[0] += 1
        time.sleep(0.005)


def _serve(pipe: Connection) -> None:
    module, beats = load(), [0]
    threading.Thread(target=_beat, args=(beats,), daemon=True).start()
    while True:
        try:
            name, args, named = pipe.recv()
        except EOFError:
            return
        before = beats[0]
        function = getattr(module, name)
        value = function(*args, **named) if named else function(*args)
        after = beats[0]
        pipe.send(Said(_plain(value), module.last_error(), after - before))


class Remote:
    """The process, and one call at a time in it."""

    def __init__(self, path: str = "") -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        if path:
            said = self.call("initialize", path)
            assert said.value, said

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def begin(self, name: str, *args: Any, **named: Any) -> None:
        """Ask for a call and do not wait."""
        self._pipe.send((name, args, named))

    def end(self, seconds: float = 20.0) -> Said:
        """Return what the call gave that was begun."""
        assert self._pipe.poll(seconds), "it never came back"
        said: Said = self._pipe.recv()
        return said

    def call(self, name: str, *args: Any, **named: Any) -> Said:
        """Make one call."""
        self.begin(name, *args, **named)
        return self.end()

    def busy(self, seconds: float = 0.2) -> bool:
        """Whether it is still in its call after a while."""
        return not self._pipe.poll(seconds)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process.is_alive():
            os.kill(self.pid, signal.SIGKILL)
        self._process.join()

    def wait_dead(self, seconds: float = 10.0) -> int | None:
        """Wait until it is dead; return how it ended."""
        self._process.join(seconds)
        return self._process.exitcode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._pipe.close()
        self._process.close()

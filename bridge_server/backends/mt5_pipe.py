"""What goes over the private pipe between the link and its worker: plain data, numbered.

One question at a time, and one answer to it. A trade has two answers: the first says that
`order_send` begins now, so that its absence is proof that it never did.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import DecodeError, Struct
from msgspec.msgpack import Decoder, Encoder

from bridge_core.protocol.errors import ConfigError
from bridge_server.backends.mt5_pins import Mt5Pins

__all__ = [
    "HELLO", "LOCKED", "Answer", "Ask", "CallOf", "Told", "WorkerSpec", "holder_of", "pack",
    "read_ask", "read_told",
]  # fmt: skip

HELLO: Final = 0  # the number of what the worker says by itself: that it is there
LOCKED: Final = "LOCKED"  # instead of it: another worker (process id) has the lock


class WorkerSpec(Struct, frozen=True, kw_only=True):
    """What a worker is given at its start; it holds no secret. `lock` is a path or ""."""

    path: str
    portable: bool
    pins: Mt5Pins | None
    trading: bool
    lock: str = ""


class CallOf(Struct, frozen=True, array_like=True):
    """One call of a function that reads: its name, positional and named arguments."""

    name: str
    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = {}


class Ask(Struct, frozen=True, kw_only=True, array_like=True):
    """One question. `verb` is CONNECT, BEAT, CALLS or TRADE.

    CONNECT has the words for `initialize`, and the password only if it is needed. A TRADE has
    the deadline on both clocks (UTC ms, monotonic ms of this machine).
    """

    number: int
    verb: str
    calls: tuple[CallOf, ...] = ()
    request: dict[str, object] = {}
    wall_ms: int = 0
    mono_ms: int = 0
    password: str = ""


class Answer(Struct, frozen=True, kw_only=True, array_like=True):
    """How one call of the package ended, as plain data.

    Records are dicts (nested too), tuples are lists; an empty list is ok. `code` and `text` are
    `last_error()` read at once, or 0 and a sentence where no call was made or it raised. `ms` is
    the time inside the call.
    """

    ok: bool
    value: object = None
    code: int = 0
    text: str = ""
    ms: float = 0.0


class Told(Struct, frozen=True, kw_only=True, array_like=True):
    """What the worker says. `begun`: `order_send` begins now, or has been called.

    `refusal` is a code with its limit and value: `order_send` was not called.
    """

    number: int
    begun: bool = False
    answers: tuple[Answer, ...] = ()
    refusal: tuple[str, str, str] | None = None


_PROCESS: Final = re.compile(r"in use by process ([0-9]+)")
_encoder: Final = Encoder()
_asks: Final = Decoder(Ask)
_tolds: Final = Decoder(Told)


def holder_of(error: ConfigError) -> str:
    """Return the process id that a refused lock names, or what it says."""
    found = _PROCESS.search(error.detail)
    return found[1] if found is not None else error.detail


def pack(message: Ask | Told) -> bytes:
    """Return the bytes of a message.

    Raises:
        Exception: a value in it is no plain data.
    """
    return _encoder.encode(message)


def read_ask(data: bytes) -> Ask:
    """Return a question; the pipe is private, so anything else is our own mistake.

    Raises:
        DecodeError: it is none.
    """
    return _asks.decode(data)


def read_told(data: bytes) -> Told | None:
    """Return what the worker said, None if it makes no sense."""
    try:
        return _tolds.decode(data)
    except DecodeError:
        return None

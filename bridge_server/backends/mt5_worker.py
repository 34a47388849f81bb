"""The process that owns the package `MetaTrader5`: the only importer, one call at a time.

The package never lets go of the interpreter's lock and has no time limit of its own, so while a
call runs nothing else happens in this process; whoever wants to end the call ends the process.
It serves one pipe and lives no longer than that: without a reader no order is sent.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from bridge_core.host.filelock import FileLock
from bridge_core.protocol.errors import ConfigError
from bridge_server.backends.mt5_connect import OUT_OF_STEP
from bridge_server.backends.mt5_pins import wrong_account
from bridge_server.backends.mt5_pipe import (
    HELLO,
    LOCKED,
    Answer,
    Ask,
    CallOf,
    Told,
    WorkerSpec,
    holder_of,
    pack,
    read_ask,
)

__all__ = ["READS", "import_metatrader5", "plain", "serve"]

# What may be asked by name. Everything else changes the account, the connection or the terminal.
READS: Final = frozenset(
    {
        "account_info", "history_deals_get", "history_deals_total", "history_orders_get",
        "history_orders_total", "order_calc_margin", "order_calc_profit", "order_check",
        "orders_get", "orders_total", "positions_get", "positions_total", "symbol_info",
        "symbol_info_tick", "symbol_select", "symbols_get", "symbols_total", "terminal_info",
        "version",
    }
)  # fmt: skip
_INVALID: Final = -2
_NUMBERS: Final = frozenset({int, float, bool})


def import_metatrader5() -> object:
    """Return the package.

    Raises:
        ImportError: it is not installed; it exists for 64-bit Windows only.
    """
    import MetaTrader5  # noqa: PLC0415  the worker alone may load it, and only when it runs

    return MetaTrader5


def plain(value: object) -> object:
    """Return a result as dicts, lists, numbers and texts; records are dicts, also inside others."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value)  # also numpy's
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")  # a broker's half surrogate
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        # Thousands of these a second, and nearly all of each is numbers.
        return {
            name: one if type(one) in _NUMBERS else plain(one)
            for name, one in value._asdict().items()
        }
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"a result of type {type(value).__name__}")


class _Caller:
    """One way to call the package: the call, its `last_error` at once, the time it took."""

    def __init__(self, module: object) -> None:
        self._module = module

    def call(self, name: str, *args: object, **kwargs: object) -> Answer:
        """Call one function; whatever happens becomes an answer."""
        begun = time.perf_counter()
        try:
            function = getattr(self._module, name)
            # An empty `**{}` is not nothing: order_send then answers -2, "Unnamed arguments not
            # allowed" (measured in wheel 5.0.6231).
            value = function(*args, **kwargs) if kwargs else function(*args)
        except Exception as error:  # noqa: BLE001  integers out of range raise instead of answering
            return self._raised(error, begun)
        ms = (time.perf_counter() - begun) * 1000
        try:
            code, text = getattr(self._module, "last_error")()  # noqa: B009  no stub knows it
            # None, False and version()'s zeros are how the package says no.
            ok = not (value is None or value is False or value == (0, 0, ""))
            return Answer(ok=ok, value=plain(value), code=int(code), text=str(text), ms=ms)
        except Exception as error:  # noqa: BLE001  a result of a shape that nobody knows
            return _not_ok(0, f"{type(error).__name__}: {error}", begun)

    def _raised(self, error: Exception, begun: float) -> Answer:
        """Return what a call that raised says; a number out of range is -2 as well."""
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, SystemError):  # only this one leaves a word of its own behind
            code, text = getattr(self._module, "last_error")()  # noqa: B009  as below
            if code == _INVALID:
                return _not_ok(code, f"{text} ({said})", begun)
        return _not_ok(0, said, begun)


def _not_ok(code: int, text: str, begun: float) -> Answer:
    return Answer(ok=False, code=code, text=text, ms=(time.perf_counter() - begun) * 1000)


class _Worker:
    """Answers one question after the other."""

    def __init__(self, pipe: Connection, spec: WorkerSpec, module: object) -> None:
        self._pipe = pipe
        self._spec = spec
        self._caller = _Caller(module)
        self.call = self._caller.call

    def answer(self, ask: Ask) -> Told:
        """Return the answer to a question; a TRADE says before that it has begun."""
        match ask.verb:
            case "CONNECT":
                return Told(number=ask.number, answers=(self._connect(ask),))
            case "BEAT":
                beat = (self.call("terminal_info"), self.call("account_info"))
                return Told(number=ask.number, answers=beat)
            case "TRADE":
                return self._trade(ask)
            case _:
                return Told(number=ask.number, answers=tuple(self._read(one) for one in ask.calls))

    def _read(self, one: CallOf) -> Answer:
        if one.name not in READS:
            return Answer(ok=False, text=f"{one.name} is not for reading")
        return self.call(one.name, *one.args, **one.kwargs)

    def _connect(self, ask: Ask) -> Answer:
        """Let go of the terminal, then connect; names that have no value are not passed at all."""
        self.call("shutdown")
        words: dict[str, object] = dict(ask.request)
        if self._spec.portable:
            words["portable"] = True
        if ask.password:
            words["password"] = ask.password
        return self.call("initialize", path=self._spec.path, **words)

    # --- the one call that moves money ---------------------------------------------------------

    def _trade(self, ask: Ask) -> Told:
        refusal = self._refusal(ask)
        if refusal is not None:
            return Told(number=ask.number, refusal=refusal)
        # Without a reader this raises: what a dead server asked for is not sent any more.
        self._pipe.send_bytes(pack(Told(number=ask.number, begun=True)))
        answer = _its_own(self.call("order_send", ask.request), ask.request)
        return Told(number=ask.number, begun=True, answers=(answer,))

    def _refusal(self, ask: Ask) -> tuple[str, str, str] | None:
        """Return why nothing may be sent now. The clocks are read last: reading takes time."""
        if not self._spec.trading:
            return ("BROKER_DOWN", "rehearsal", "a rehearsal sends no orders")
        if not _is_finite(ask.request):
            return ("BODY", "", "a number in the request is not finite")
        terminal, account = self.call("terminal_info"), self.call("account_info")
        for one in (terminal, account):
            if not one.ok or not isinstance(one.value, dict):
                return ("BROKER_DOWN", "terminal", f"{one.code} {one.text}")
        shown, owner = _dict(terminal), _dict(account)
        if not owner.get("login"):
            return ("BROKER_DOWN", "login", "the terminal is not logged in")
        wrong = wrong_account(self._spec.pins, self._spec.path, shown, owner)
        if wrong:
            return ("ACCOUNT_MISMATCH", "", wrong)
        if not shown.get("connected"):
            return ("BROKER_DOWN", "broker", "the terminal has no link to the broker")
        wall_ms, mono_ms = time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000
        if wall_ms >= ask.wall_ms or mono_ms >= ask.mono_ms:
            return ("EXPIRED", str(ask.wall_ms), str(wall_ms))
        return None


def _its_own(answer: Answer, request: dict[str, object]) -> Answer:
    """Return the answer, or -10000 where it repeats another request than the one that was sent.

    Whatever it says, yes or no, it says of another order, and more like it may follow.
    """
    echo = _dict(answer).get("request")
    magic = echo.get("magic") if isinstance(echo, dict) else None
    if not answer.ok or not magic or magic == request.get("magic"):
        return answer
    text = f"IPC call failed: the answer is of the request with magic {magic}"
    return Answer(ok=False, code=OUT_OF_STEP, text=text, ms=answer.ms)


def _dict(answer: Answer) -> dict[str, object]:
    return answer.value if isinstance(answer.value, dict) else {}


def _is_finite(request: dict[str, object]) -> bool:
    # The package itself passes NaN and infinity on to the terminal.
    return all(math.isfinite(one) for one in request.values() if isinstance(one, float))


def serve(pipe: Connection, spec: WorkerSpec, load: Callable[[], object]) -> None:
    """Be the worker: take the lock, load the package, answer until the pipe ends."""
    # Ctrl-C and a stop of the whole service reach this process too; a call to the broker is not
    # cut short by them. The server ends it, or the end of the pipe does.
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    lock = FileLock(Path(spec.lock), "mt5-worker") if spec.lock else None
    try:
        if lock is not None:
            lock.acquire()
        module = load()
    except ConfigError as error:
        hello = Answer(ok=False, text=f"{LOCKED} {holder_of(error)}")
    except Exception as error:  # noqa: BLE001  a package that cannot be loaded is told, whatever it is
        hello = Answer(ok=False, text=f"LOAD {type(error).__name__}: {error}")
    else:
        hello = Answer(ok=True, value={"package": str(getattr(module, "__version__", ""))})
    try:
        _say(pipe, Told(number=HELLO, answers=(hello,)))
        if hello.ok:
            _serve(pipe, _Worker(pipe, spec, module))
    except (EOFError, OSError):  # the other end is closed: nobody asks any more
        return


def _serve(pipe: Connection, worker: _Worker) -> None:
    try:
        while True:
            _say(pipe, worker.answer(read_ask(pipe.recv_bytes())))
    finally:
        worker.call("shutdown")


def _say(pipe: Connection, told: Told) -> None:
    try:
        data = pack(told)
    except Exception as error:  # noqa: BLE001  the answer must not be lost with what it cannot say
        text = f"{type(error).__name__}: an answer that cannot be passed on"
        data = pack(
            Told(number=told.number, begun=told.begun, answers=(Answer(ok=False, text=text),))
        )
    pipe.send_bytes(data)

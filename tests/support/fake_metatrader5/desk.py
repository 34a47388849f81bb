"""What a fake terminal answers: each call on its broker, with the faults that a test scripted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from tests.support.fake_metatrader5.broker import Refused
from tests.support.fake_metatrader5.codes import TEXTS
from tests.support.fake_metatrader5.facts import FACTS
from tests.support.fake_metatrader5.faults import (
    ACCEPTED,
    ANSWERED,
    BEFORE,
    EXECUTED,
    Later,
    Script,
)
from tests.support.fake_metatrader5.pipe import Answer, Ask
from tests.support.fake_metatrader5.values import FailedError, value_of

if TYPE_CHECKING:
    from tests.support.fake_metatrader5.terminal import FakeTerminal

__all__ = ["HungUpError", "Desk", "Line"]

_CLIENT_DISABLES_AT: Final = 10027
_TIMEOUT: Final = 10012
_OTHER: Final = "another call"
_NO_RESULT: Final[dict[str, Any]] = {
    "deal": 0, "order": 0, "volume": 0.0, "price": 0.0, "bid": 0.0, "ask": 0.0, "request_id": 0,
    "retcode_external": 0,
}  # fmt: skip


def _refusal(request: dict[str, Any], code: int, comment: str = "") -> dict[str, Any]:
    text = comment or TEXTS.get(code, f"Unknown code {code}")
    return _NO_RESULT | {"retcode": code, "comment": text, "request": request}


class HungUpError(Exception):
    """The connection is over; nothing more is said."""


class _SaidError(Exception):
    """A fault says what the answer is."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.answers = answers


class Line(Protocol):
    """The connection a call came by."""

    def gone(self) -> bool:
        """Whether the caller, or the terminal itself, is no more."""


class Desk:
    """Answers one call at a time for one connection."""

    def __init__(self, terminal: FakeTerminal, line: Line) -> None:
        self._terminal = terminal
        self._line = line

    def answer(self, ask: Ask) -> list[Answer]:
        """Return what is sent for a call: one answer, as a rule.

        Raises:
            HungUpError: the connection ends instead.
        """
        for later in list(self._terminal.later):
            later.look()
        try:
            value = self._trade(ask) if ask.name == "order_send" else self._read(ask)
            return [Answer(ask.name, value)]
        except FailedError as failed:
            return [Answer(ask.name, code=failed.code, text=FACTS.errors[failed.code])]
        except _SaidError as ending:
            return list(ending.answers)

    # --- calls ----------------------------------------------------------------------------------

    def _read(self, ask: Ask) -> Any:
        self._reach(ask, BEFORE)
        self._terminal.log(ask)
        for point in (ACCEPTED, EXECUTED):
            self._reach(ask, point)
        return self._leave(ask, value_of(self._terminal, ask.name, ask.args))

    def _trade(self, ask: Ask) -> Any:
        self._reach(ask, BEFORE)
        self._terminal.log(ask)
        terminal, request = self._terminal, ask.args
        if terminal.tradeapi_disabled:
            raise FailedError(-8)
        if not terminal.trade_allowed:
            answer = terminal.broker.turn_away(request, _CLIENT_DISABLES_AT)
            return self._leave(ask, dict(answer) | {"request": request})
        broker = terminal.broker
        accepted = broker.accept(request)
        result = self._executed(
            ask,
            lambda: accepted.answer if isinstance(accepted, Refused) else broker.execute(accepted),
        )
        self._reach(ask, EXECUTED)
        return self._leave(ask, dict(result) | {"request": request})

    def _executed(self, ask: Ask, execute: Callable[[], Any]) -> Any:
        """Let the broker act: at once, or by the word of a fault met here."""
        fault = self._terminal.faults.meet(ask.name, ACCEPTED, ask.args)
        if fault is None:
            return execute()
        done: list[Any] = []
        if fault.execute == "now":
            done.append(execute())
        later = Later(fault.after_s, lambda: done.append(execute()))
        if fault.execute == "later":
            self._terminal.later.append(later)
            later.start()
        self._happen(ask, fault)
        if fault.execute == "later":
            later.join()
        return done[0] if done else _refusal(ask.args, _TIMEOUT)

    def _leave(self, ask: Ask, value: Any) -> Any:
        fault = self._terminal.faults.meet(ask.name, ANSWERED, ask.args)
        if fault is not None:
            if fault.kind == "alter":
                return fault.change(value)
            if fault.kind == "out_of_step":
                raise _SaidError(Answer(_OTHER), Answer(ask.name, value))
            self._happen(ask, fault)
        return value

    # --- faults ---------------------------------------------------------------------------------

    def _reach(self, ask: Ask, point: str) -> None:
        fault = self._terminal.faults.meet(ask.name, point, ask.args)
        if fault is not None:
            self._happen(ask, fault)
        if point == BEFORE and self._line.gone():
            raise HungUpError

    def _happen(self, ask: Ask, fault: Script) -> None:
        """Do what a fault says; returns if the call goes on."""
        match fault.kind:
            case "hang" | "delay":
                self._hang(fault.seconds)
            case "kill_terminal":
                self._terminal.kill()
                raise HungUpError
            case "kill_worker":
                os.kill(ask.pid, signal.SIGKILL)
                self._wait_gone()
            case "kill_pid":
                os.kill(fault.pid, signal.SIGKILL)
            case "error":
                self._fail(ask, fault)
            case "retcode":
                raise _SaidError(Answer(ask.name, self._with_code(ask, fault)))
            case "none":
                raise _SaidError(Answer(ask.name))
            case "alter":
                raise _SaidError(Answer(ask.name, fault.change(None)))
            case "out_of_step":
                # The pipe carries an answer that nobody asked for, and stays one late.
                raise _SaidError(Answer(_OTHER), Answer(ask.name))

    def _with_code(self, ask: Ask, fault: Script) -> dict[str, Any]:
        refusal = _refusal(ask.args, fault.code, fault.comment)
        checked = ask.name == "order_check"
        if (checked and fault.code) or (ask.name == "order_send" and fault.point == BEFORE):
            # The broker's word for the client: its ledger has to know of it.
            self._terminal.broker.turn_away(ask.args, fault.code, checked=checked)
        if not checked:
            return refusal
        result: dict[str, Any] = value_of(self._terminal, ask.name, ask.args)
        return result | {"retcode": fault.code, "comment": refusal["comment"]}

    def _fail(self, ask: Ask, fault: Script) -> None:
        match fault.code:
            case -10002 if fault.kept:
                raise _SaidError(Answer(ask.name, word="unread"))
            case -10002:
                raise HungUpError
            case -10001:
                raise _SaidError(Answer(ask.name, word="unsent"))
            case -10004:
                raise _SaidError(Answer(ask.name, word="gone"))
            case -10000:
                raise _SaidError(Answer(_OTHER))
        text = FACTS.errors[fault.code] if fault.text is None else fault.text
        raise _SaidError(Answer(ask.name, code=fault.code, text=text))

    def _hang(self, seconds: float | None) -> None:
        left = float("inf") if seconds is None else seconds
        while left > 0 and not self._line.gone():
            step = min(left, 0.01)
            if self._terminal.faults.wait(step):
                return
            left -= step

    def _wait_gone(self) -> None:
        while not self._line.gone():
            self._terminal.faults.wait(0.002)

"""The paper broker under scripted conditions: hang, reject, lose an answer, fill in part.

For tests of strategies, and only where `[paper]` of server.toml names a `script`: a file that
grows by one JSON object a line, read before each order and between them:

    {"do":"hang","seconds":5}      the next order stays at the broker so long; prices stand still
    {"do":"release"}               ends a hang, and any that has not begun
    {"do":"reject","code":"NO_MONEY"}    the next order is refused with a broker's code
    {"do":"lose","executed":true,"seconds":1}    the next order's answer is lost, and the order too
                                   if false; the broker's records are away so long as well
    {"do":"clear"}                 ends a hang, and disarms everything
    {"do":"quote"}                 the quotes are published again as they stand, as at a start
    {"do":"partial","volume":"0.01"}     the next market OPEN or CLOSE is dealt so many lots of it

What is said of each line goes to the file's name plus `.taken`, so that a test can wait for it:
`{"line":1,"state":"armed","why":""}`, then `spent`; or `refused` with the reason. What was armed
and not spent outlives a restart. A hang and one of the others may meet in one order.

It stands where a broker stands: behind every check, the journal and the deadline. So it can make
the broker bad, and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from bridge_core.host.clock import Clock
from bridge_core.protocol.code_table import CODES
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Cancel, Close, Modify, Open
from bridge_server.backends.paper import PaperBackend
from bridge_server.backends.paper_book import Turn
from bridge_server.backends.paper_money import decimal_text
from bridge_server.backends.paper_orders import RETCODES, Label
from bridge_server.backends.paper_settings import PaperSettings
from bridge_server.core.ports import (
    Executed,
    Facts,
    Identity,
    Lost,
    Outcome,
    Rejected,
    Scan,
    Submission,
)

__all__ = ["ScriptedPaper"]

_PUMP_MS: Final = 2  # a test waits for each of its prices
_SLICE_S: Final = 0.01
_SECONDS_MAX: Final = 60
_Seconds = Annotated[float, Meta(ge=0, le=_SECONDS_MAX)]
_NO_ANSWER: Final = "scripted: the broker's answer was lost"
_Body = Open | Close | Modify | Cancel


class _Line(Struct, frozen=True, kw_only=True, tag_field="do", forbid_unknown_fields=True):
    """One line of the script."""


class _Hang(_Line, frozen=True, tag="hang"):
    seconds: _Seconds


class _Release(_Line, frozen=True, tag="release"):
    pass


class _Clear(_Line, frozen=True, tag="clear"):
    pass


class _Quote(_Line, frozen=True, tag="quote"):
    pass


class _Reject(_Line, frozen=True, tag="reject"):
    code: ReasonCode

    def __post_init__(self) -> None:
        """Refuse what no broker says."""
        if "broker" not in CODES[self.code].by:
            raise ValueError(f"{self.code} is not a broker's word")


class _Lose(_Line, frozen=True, tag="lose"):
    executed: bool
    seconds: _Seconds = 0


class _Partial(_Line, frozen=True, tag="partial"):
    volume: Decimal

    def __post_init__(self) -> None:
        """Refuse what is no volume."""
        if not (self.volume.is_finite() and self.volume > 0):
            raise ValueError("volume must be a positive number of lots")


_Fate = _Reject | _Lose | _Partial
_Instruction = _Hang | _Release | _Clear | _Quote | _Reject | _Lose | _Partial


class _Taken(Struct, frozen=True):
    """What is said of one line of the script."""

    line: int
    state: str
    why: str = ""


class _Armed(NamedTuple):
    line: int
    what: _Hang | _Fate


class _Script:
    """The file of instructions, and the file that says what became of each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said = path.with_name(f"{path.name}.taken")
        self._offset = 0
        self._line = 0
        self._armed: list[_Armed] = []
        self._known: dict[int, str] = {}
        self.released = 0
        self.quote = False

    def open(self) -> None:
        """Make both files if they are not there, and learn what is spent already.

        Raises:
            ConfigError: SCRIPT: they cannot be read or written.
        """
        try:
            for file in (self._path, self._said):
                file.touch(mode=0o600)
            self._learn()
            self.read()
        except OSError as error:
            raise ConfigError(
                "SCRIPT", f"{self._path}: {error.strerror}: name a file in [paper] script"
            ) from error

    def _learn(self) -> None:
        raw = self._said.read_bytes()
        for text in raw.split(b"\n"):
            try:
                taken = msgspec.json.decode(text, type=_Taken)
            except msgspec.MsgspecError:
                continue  # a kill cut it off: the line it was about is taken again
            self._known[taken.line] = taken.state
        if raw and not raw.endswith(b"\n"):
            self._append(b"\n")

    def _say(self, line: int, state: str, why: str = "") -> None:
        if self._known.get(line) != state:
            self._known[line] = state
            self._append(msgspec.json.encode(_Taken(line, state, why)) + b"\n")

    def _append(self, raw: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._said, flags)
        try:
            os.write(descriptor, raw)
        finally:
            os.close(descriptor)

    def read(self) -> None:
        """Take in the complete lines that are new."""
        if self._path.stat().st_size <= self._offset:
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            fresh = file.read()
        for raw in fresh.splitlines(keepends=True):
            if not raw.endswith(b"\n"):
                break
            self._offset += len(raw)
            self._line += 1
            self._take(self._line, raw)

    def _take(self, line: int, raw: bytes) -> None:
        if self._known.get(line) in ("spent", "refused"):
            return
        try:
            what = msgspec.json.decode(raw, type=_Instruction)
        except msgspec.MsgspecError as error:
            self._say(line, "refused", str(error))
            return
        if isinstance(what, _Quote):
            self.quote = True
            self._say(line, "spent")
            return
        if isinstance(what, _Release | _Clear):
            for armed in tuple(self._armed):
                if isinstance(what, _Clear) or isinstance(armed.what, _Hang):
                    self.spend(armed)
            self.released += 1
            self._say(line, "spent")
            return
        self._armed.append(_Armed(line, what))
        self._say(line, "armed")

    def hang(self) -> _Armed | None:
        """Return the hang that is due, if any."""
        return next((one for one in self._armed if isinstance(one.what, _Hang)), None)

    def fates(self) -> Iterator[tuple[_Armed, _Fate]]:
        """Yield what else is armed, in order."""
        for one in tuple(self._armed):
            if not isinstance(one.what, _Hang):
                yield one, one.what

    def spend(self, armed: _Armed) -> None:
        """Say that it took effect."""
        if armed in self._armed:
            self._armed.remove(armed)
            self._say(armed.line, "spent")


class ScriptedPaper(PaperBackend):
    """The paper broker, made bad on demand; `ports.Backend`."""

    def __init__(
        self,
        settings: PaperSettings,
        *,
        symbols: tuple[str, ...],
        folder: Path,
        base: Path,
        clock: Clock,
    ) -> None:
        super().__init__(settings, symbols=symbols, folder=folder, base=base, clock=clock)
        self.pump_interval_ms = min(self.pump_interval_ms, _PUMP_MS)
        self._path = base / settings.script
        self._met: list[_Fate] = []
        self._blind_until = 0.0

    def start(self) -> Identity:
        """Open the account and the script.

        Raises:
            ConfigError: as `PaperBackend.start`, or SCRIPT.
        """
        self._script = _Script(self._path)
        self._script.open()
        return super().start()

    def pump(self) -> list[EventBody]:
        """Read the script, then do as the paper broker does."""
        self._script.read()
        if self._script.quote:
            self._script.quote = False
            self._announce = True
        return super().pump()

    def execute(self, submission: Submission) -> Outcome:
        """Carry out an order under the conditions that are due."""
        self._script.read()
        self._met.clear()
        outcome = super().execute(submission)
        loses = self._loses()
        if loses is None:
            return outcome
        self._blind_until = time.monotonic() + loses.seconds
        return Lost(cause=_NO_ANSWER) if isinstance(outcome, Executed | Rejected) else outcome

    def scan(self, since_wall_ms: int) -> Scan:
        """Return the broker's records; incomplete and empty while they are away."""
        if time.monotonic() < self._blind_until:
            now = self._clock.wall_ms()
            return Scan(since_wall_ms=since_wall_ms, taken_wall_ms=now, complete=False)
        return super().scan(since_wall_ms)

    def _loses(self) -> _Lose | None:
        return next((fate for fate in self._met if isinstance(fate, _Lose)), None)

    def _act(self, turn: Turn, body: _Body, label: Label) -> Executed | Rejected:
        hang = self._script.hang()
        if hang is not None:
            self._stand_still(hang)
        for armed, fate in self._script.fates():
            part = _part_of(turn, body, fate.volume) if isinstance(fate, _Partial) else None
            if isinstance(fate, _Partial) and part is None:
                continue  # it waits for an order that can be dealt in part
            self._script.spend(armed)
            self._met.append(fate)
            if part is not None:
                return _in_part(super()._act(turn, part, label))
            if isinstance(fate, _Reject):
                return _refused(turn, fate.code, label)
            break
        return super()._act(turn, body, label)

    def _stand_still(self, hang: _Armed) -> None:
        assert isinstance(hang.what, _Hang)
        self._script.spend(hang)  # a kill ends it for good
        until, released = time.monotonic() + hang.what.seconds, self._script.released
        while self._script.released == released and (left := until - time.monotonic()) > 0:
            time.sleep(min(_SLICE_S, left))
            self._script.read()

    def _commit(self, turn: Turn, outcome: Executed | Rejected) -> Outcome:
        loses = self._loses()
        if loses is not None and not loses.executed:
            return Lost(cause="scripted: the order was lost on its way to the broker")
        return super()._commit(turn, outcome)


def _refused(turn: Turn, code: ReasonCode, label: Label) -> Rejected:
    facts = Facts(retcode=RETCODES[code], market_ms=turn.book.market_ms, comment=label.said)
    return Rejected(code=code, facts=facts)


def _part_of(turn: Turn, body: _Body, volume: Decimal) -> Open | Close | None:
    """Return the order as far as it is dealt; None if it cannot be dealt in part."""
    match body:
        case Open(type="BUY" | "SELL") if volume < Decimal(body.volume):
            return msgspec.structs.replace(body, volume=decimal_text(volume))
        case Close():
            held = turn.book.positions.get(body.ticket)
            wanted = Decimal(body.volume) or (held.volume if held is not None else Decimal(0))
            if volume < wanted:
                return msgspec.structs.replace(body, volume=decimal_text(volume))
    return None


def _in_part(outcome: Executed | Rejected) -> Executed | Rejected:
    if isinstance(outcome, Rejected):
        return outcome
    return msgspec.structs.replace(outcome, status=Status.PARTIAL)

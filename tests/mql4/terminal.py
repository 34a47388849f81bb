"""One simulated MetaTrader 4 terminal with a program attached: `Terminal`, and a command to run it.

    python -m tests.mql4.terminal FOLDER [--source Experts/BridgeEA.mq4] [--input NAME=VALUE ...]

Everything the terminal knows it is told here, over the line protocol of simulator/control.hpp; the
broker's book lives in FOLDER/broker.jsonl and outlives the process.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self
from urllib.parse import quote

from tests.mql4.broker_file import Line, Standing, read_lines, standing
from tests.mql4.build import build
from tests.mql4.terms import BrokerTerms, SymbolTerms

__all__ = ["BrokerTerms", "CommandError", "SymbolTerms", "Terminal", "TerminalDiedError"]

Value = str | int | float | bool
# An account is older than the day it is traded on: its history reaches back to the deposit.
_OLD_DAYS: Final = "365"
_REPLY_S: Final = 30.0
_EXIT_S: Final = 30.0
_CLEAN: Final = (0, 3)  # 3: violations, which are looked at by themselves
_DEADLY: Final = ("die", "tear")
# What a person or a broker would not have to set again after the terminal was restarted.
_STICKY: Final = (
    "flag", "market_open", "timer", "walk", "dll", "build", "history_range", "account",
)  # fmt: skip


class CommandError(Exception):
    """The terminal refused a command; the text says why and how it is used."""


class TerminalDiedError(Exception):
    """The terminal's process ended while an answer was awaited."""


class Terminal:
    """One terminal process with one program; a context manager that ends it.

    Leaving the context stops the program as a user would and asserts that it behaved: no
    violation, no critical error, no leak, no sanitizer report, no unexpected death. A test that
    provokes one takes it off `violations` or `criticals` itself.

    files       MQL4/Files of this terminal: put key files here
    prints, alerts, violations, criticals    what was said, in order, over all restarts
    init_code   what the last OnInit returned; -1 after a critical error in it
    """

    def __init__(
        self,
        folder: Path,
        *,
        inputs: Mapping[str, Value],
        terms: BrokerTerms | None = None,
        sanitize: bool = True,
        source: str = "Experts/BridgeEA.mq4",
    ) -> None:
        self.folder = folder
        self.files = folder / "MQL4" / "Files"
        self.files.mkdir(parents=True, exist_ok=True)
        self.terms = terms if terms is not None else BrokerTerms()
        self.inputs = dict(inputs)
        self.prints: list[str] = []
        self.alerts: list[str] = []
        self.violations: list[str] = []
        self.criticals: list[str] = []
        self.events: list[Line] = []
        self.init_code = 0
        self._source = source
        self._sanitize = sanitize
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.Queue[Line | None] = queue.Queue()
        self._changed = threading.Condition()
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._sticky: dict[tuple[str, str], tuple[str, ...]] = {}
        self._prices: dict[str, tuple[str, str]] = {}
        self._advanced_ms = 0
        self._stepped_ms = 0
        self._mono_ms = 0
        self._prepared: list[tuple[str, ...]] = []
        self._may_die = False

    # --- life --------------------------------------------------------------------------------

    def start(self) -> int:
        """Start the process, give it its book back, run OnInit; return OnInit's code."""
        assert self._process is None, "the terminal runs already"
        self._may_die = False
        self._replies = queue.Queue()
        program = _program(self._source, sanitize=self._sanitize)
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [program],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                stderr=log, env={**os.environ, **(_SANITIZERS if self._sanitize else {})},
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()
        self._tell_everything(standing(self.ledger()))
        self.init_code = int(self._send(("init",))["code"])
        return self.init_code

    def stop(self) -> None:
        """Close the terminal: OnDeinit, then assert that the program behaved."""
        if self._process is not None:
            if self._process.poll() is None:
                self._post(("quit",))
            code = self._wait(_EXIT_S)
            assert code in _CLEAN or (self._may_die and code == -signal.SIGKILL), (
                f"the terminal ended with {code}: {self.sanitizer_report()[-3000:]}"
            )
        self.assert_clean()

    def kill(self) -> None:
        """End the process by SIGKILL: no OnDeinit, nothing flushed."""
        if self._process is not None:
            self._process.kill()
            self._may_die = True
            self._wait(_EXIT_S)

    def restart(self) -> int:
        """Stop if it runs, and start again."""
        self.stop()
        return self.start()

    def wait_dead(self, seconds: float = 10.0) -> None:
        """Wait for the death that `die` or `tear` ordered."""
        assert self._wait(seconds) == -signal.SIGKILL, "it ended, but not by the planned death"

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running terminal."""
        assert self._process is not None
        return self._process.pid

    def assert_clean(self) -> None:
        """Assert no violation, no critical error and no sanitizer report so far."""
        assert not self.violations, self.violations
        assert not self.criticals, self.criticals
        assert not self.sanitizer_report(), self.sanitizer_report()[-3000:]

    def sanitizer_report(self) -> str:
        """What AddressSanitizer and UndefinedBehaviorSanitizer wrote; "" if nothing."""
        text = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
        return text if "ERROR: " in text or "runtime error: " in text else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _at: TracebackType | None,
    ) -> None:
        if error is None:
            self.stop()
            return
        self.kill()
        error.add_note(f"the terminal said last: {self.prints[-10:]}")
        error.add_note(f"violations {self.violations}, criticals {self.criticals}")

    # --- talk --------------------------------------------------------------------------------

    def command(self, *words: Value) -> Line:
        """Run one command of the control protocol and return its answer.

        Before the start it is kept and run right before OnInit.

        Raises:
            CommandError: unknown or malformed.
            TerminalDiedError: the process ended first.
        """
        texts = tuple(_text(word) for word in words)
        answer = self._send(texts) if self.running else {}
        self._remember(texts)
        return answer

    def ledger(self) -> list[Line]:
        """The broker's own record (simulator/ledger.hpp); also of a dead terminal."""
        return read_lines(self.folder / "broker.jsonl")

    def submissions(self, op: str = "") -> list[Line]:
        """The ledger's begin lines: what the program asked of the broker."""
        return [
            line for line in self.ledger() if line["phase"] == "begin" and op in ("", line["op"])
        ]

    def orders(self) -> list[Line]:
        """The open positions and pending orders."""
        rows: list[Line] = self.command("orders")["open"]
        return rows

    def history(self) -> list[Line]:
        """What the Account History tab shows."""
        rows: list[Line] = self.command("orders")["history"]
        return rows

    def wait_for(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until something holds, looking again at each event of the terminal."""
        until = time.monotonic() + seconds
        while True:
            seen = len(self.events)
            # Outside the lock: it may run commands, whose replies the reader has to take in.
            if holds():
                return
            assert time.monotonic() < until, f"it never came true; last said {self.prints[-5:]}"
            with self._changed:
                if len(self.events) == seen:
                    self._changed.wait(0.05)

    # --- within ------------------------------------------------------------------------------

    @property
    def _log(self) -> Path:
        return self.folder / "terminal.log"

    def _tell_everything(self, book: Standing) -> None:
        self._send(("folder", str(self.folder)))
        self._send(self.terms.command())
        for symbol in self.terms.symbols:
            self._send(symbol.command())
        self._send(("advance", str(self._advanced_ms)))
        self._send(("step_wall", str(self._stepped_ms)))
        self._send(("step_mono", str(self._mono_ms)))
        for command in book.commands():
            self._send(command)
        self._send(
            (
                "ledger",
                str(self.folder / "broker.jsonl"),
                str(book.last_number),
                str(book.next_ticket),
            )
        )
        for account, balance in book.balances.items():
            self._send(("balance", str(account), repr(float(balance))))
        if self.terms.account not in book.balances:
            self._send(("deposit", repr(float(self.terms.balance)), _OLD_DAYS))
        for symbol in self.terms.symbols:
            before = self._prices.get(symbol.name) or book.quotes.get(symbol.name)
            self._send(("price", symbol.name, *(before or (symbol.bid, symbol.ask))))
        for words in (*self._sticky.values(), *self._prepared):
            self._send(words)
        self._prepared.clear()
        for name, value in self.inputs.items():
            self._send(("input", name, _text(value)))

    def _remember(self, words: tuple[str, ...]) -> None:
        match words:
            case ("price", symbol, bid, ask):
                self._prices[symbol] = (bid, ask)
            case ("zone", seconds):
                self.terms = replace(self.terms, zone_hours=int(seconds) / 3600)
            case ("advance", ms):
                self._advanced_ms += int(ms)
            case ("step_wall", ms):
                self._stepped_ms += int(ms)
            case ("step_mono", ms):
                self._mono_ms += int(ms)
            case ("input", name, value):
                self.inputs[name] = value
            case (name, *rest) if name in _STICKY:
                key = rest[0] if name in ("flag", "walk", "dll") and rest else ""
                self._sticky[name, key] = words
            case _ if not self.running:
                self._prepared.append(words)
        if words[0] in _DEADLY:
            self._may_die = True

    def _post(self, words: tuple[str, ...]) -> None:
        assert self._process is not None, "the terminal does not run"
        assert self._process.stdin is not None
        line = " ".join(quote(word, safe="/\\:.,#+-_@[]=") for word in words)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise TerminalDiedError(line) from None

    def _send(self, words: tuple[str, ...]) -> Line:
        with self._lock:
            self._post(words)
            try:
                reply = self._replies.get(timeout=_REPLY_S)
            except queue.Empty:
                raise TerminalDiedError(f"no answer to {words}") from None
        if reply is None:
            raise TerminalDiedError(f"it ended at {words}: {self.sanitizer_report()[-3000:]}")
        if not reply["ok"]:
            raise CommandError(reply["error"])
        data: Line = reply.get("data", {})
        return data

    def _read(self, stdout: IO[str]) -> None:
        with stdout:
            for text in stdout:
                try:
                    event: dict[str, Any] = json.loads(text)
                except json.JSONDecodeError:
                    continue  # cut off by a death
                if event["event"] == "reply":
                    self._replies.put(event)
                else:
                    self._take(event)
        self._replies.put(None)
        with self._changed:
            self._changed.notify_all()

    def _take(self, event: Line) -> None:
        said = {
            "print": self.prints,
            "alert": self.alerts,
            "violation": self.violations,
            "critical": self.criticals,
        }
        with self._changed:
            self.events.append(event)
            if event["event"] in said:
                said[event["event"]].append(event["text"])
            self._changed.notify_all()

    def _wait(self, seconds: float) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("the terminal did not end") from None
        finally:
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
            if self._reader is not None:
                self._reader.join(seconds)
        return code


_programs: Final[dict[tuple[str, bool], Path]] = {}
_building: Final = threading.Lock()


def _program(source: str, *, sanitize: bool) -> Path:
    # Whoever kills a terminal a hundred times, in many threads, translates its program once.
    with _building:
        if (source, sanitize) not in _programs:
            _programs[source, sanitize] = build(source, sanitize=sanitize)
        return _programs[source, sanitize]


_SANITIZERS: Final = {
    "ASAN_OPTIONS": "exitcode=9:detect_stack_use_after_return=1",
    "LSAN_OPTIONS": "print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def _text(word: Value) -> str:
    if isinstance(word, bool):
        return "true" if word else "false"
    return repr(word) if isinstance(word, float) else str(word)


if __name__ == "__main__":
    import sys

    from tests.mql4.by_hand import main

    sys.exit(main(sys.argv[1:]))

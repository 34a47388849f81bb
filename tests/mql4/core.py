"""Calls the Advisor's floor (mql4/Include/Bridge) line by line in the harness.

`programs/core_main.mq4` reads a file of calls and prints the answers, so a test needs no socket:
words between tabs, bytes in hex.
"""

from __future__ import annotations

import functools
import json
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

from tests.mql4.build import build

__all__ = ["PROGRAM", "Core", "Session", "hexed"]

PROGRAM: Final = Path(__file__).resolve().parent / "programs" / "core_main.mq4"
RUN_S: Final = 120


def hexed(data: bytes) -> str:
    """Return bytes as a word: hex, "-" for none."""
    return data.hex() or "-"


@functools.cache
def _program() -> Path:
    return build(PROGRAM, sanitize=True)


class Session:
    """One terminal process with the program in it; `run` makes calls, `command` sets faults."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.files = folder / "MQL4" / "Files"
        self.files.mkdir(parents=True, exist_ok=True)
        self.wrong: list[str] = []
        self._started = False
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.command("folder", str(folder))

    def command(self, *words: str) -> None:
        """Send one control command."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()

    def run(self, calls: Iterable[Sequence[str]]) -> list[list[str]]:
        """Return the words answered to each call.

        Raises:
            AssertionError: the terminal ended before it had answered.
        """
        text = "".join("\t".join(call) + "\n" for call in calls)
        (self.files / "core_in.txt").write_text(text, "utf-8")
        self.command("tick" if self._started else "init")
        self._started = True
        answers: list[list[str]] = []
        for text in self._prints():
            if text == "done":
                return answers
            assert text.startswith("="), text
            answers.append(text[1:].split("\t"))
        raise AssertionError("the terminal ended")

    def _prints(self) -> Iterator[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said: dict[str, Any] = json.loads(line)
            if said["event"] in ("violation", "critical") or said.get("ok") is False:
                self.wrong.append(str(said))
            if said["event"] == "critical":
                yield f"critical error: {said['text']}"  # it stopped, and answers no more
            if said["event"] == "print":
                yield said["text"]

    def end(self) -> int:
        """End the process if it lives, and return its exit code."""
        try:
            for line in ("disk ok", "deinit 1", "quit"):
                self.command(line)
        except BrokenPipeError:
            pass  # it died of a planned death
        for text in self._prints():
            self.wrong.append(f"printed at the end: {text}")
        _, errors = self._process.communicate(timeout=RUN_S)
        if errors:
            self.wrong.append(errors)
        return self._process.returncode

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the terminal and demand that it broke no rule."""
        code = self.end()
        if kind is None:
            assert not self.wrong, self.wrong
            assert code == 0, code


class Core:
    """One terminal folder; each run is one terminal process that ends, or dies, with it."""

    def __init__(self, folder: Path, program: Path | None = None) -> None:
        self.folder = folder
        self.program = program or _program()
        self.files = folder / "MQL4" / "Files"
        self.files.mkdir(parents=True, exist_ok=True)

    def session(self) -> Session:
        """Return a terminal process for several runs of calls."""
        return Session(self.folder, self.program)

    def run(self, calls: Iterable[Sequence[str]], *commands: str) -> list[list[str]]:
        """Return the words answered to each call; `commands` set faults before the calls."""
        with self.session() as session:
            for command in commands:
                session.command(command)
            return session.run(calls)

    def one(self, *call: str) -> list[str]:
        """Return the words answered to a single call."""
        (answer,) = self.run([call])
        return answer

    def run_dying(self, calls: Iterable[Sequence[str]], *commands: str) -> None:
        """Make the calls in a terminal that `commands` let die by SIGKILL on the way."""
        session = self.session()
        try:
            for command in commands:
                session.command(command)
            with pytest.raises(AssertionError, match="the terminal ended"):
                session.run(calls)
        finally:
            code = session.end()
        assert code == -signal.SIGKILL
        assert not session.wrong, session.wrong

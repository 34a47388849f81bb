"""Driving programs/Desk.mq4: a test's hand on the trading functions of a simulated terminal."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.mql4.terminal import Terminal, TerminalDiedError
from tests.mql4.terms import BrokerTerms

__all__ = ["Answer", "Desk"]


class Answer(NamedTuple):
    """What a function returned, as text, and GetLastError after it."""

    value: str
    error: int


class Desk:
    """A terminal with Desk.mq4 in it."""

    def __init__(
        self, folder: Path, terms: BrokerTerms | None = None, *, sanitize: bool = False
    ) -> None:
        self.terminal = Terminal(
            folder, inputs={}, terms=terms, source="programs/Desk.mq4", sanitize=sanitize
        )
        self._acts = 0

    def begin(self, *words: object) -> str:
        """Order an act; return the start of the line that will answer it."""
        self._acts += 1
        text = " ".join([str(self._acts), *map(str, words)])
        fresh = self.terminal.folder / "do.txt"
        fresh.write_text(text + "\n", "ascii")
        fresh.replace(self.terminal.files / "do.txt")
        return f"answer {self._acts} "

    def do(self, *words: object) -> Answer:
        """Run an act and return its answer.

        Raises:
            TerminalDiedError: the terminal died of it.
        """
        start = self.begin(*words)
        found: list[str] = []

        def said() -> bool:
            found[:] = [line for line in self.terminal.prints if line.startswith(start)]
            return bool(found) or not self.terminal.running

        self.terminal.wait_for(said, 30)
        if not found:
            raise TerminalDiedError(" ".join(map(str, words)))
        value, _, error = found[0].removeprefix(start).rpartition(" ")
        return Answer(value, int(error))

    def buy(self, lots: str = "0.10", sl: str = "0", tp: str = "0", comment: str = "tag") -> int:
        """Buy EURUSD at the ask of the default terms; return the ticket."""
        answer = self.do("send", "EURUSD", 0, lots, "1.08512", 10, sl, tp, comment, 77, 0)
        assert answer.error == 0, answer
        return int(answer.value)

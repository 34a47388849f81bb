"""Where words go: data on stdout, talk on stderr, one JSON object with `--json`.

Colour only on a terminal, and never alone: the word carries the state. Tables are laid out on a
terminal and are tab-separated lines everywhere else.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Final, NamedTuple, TextIO

__all__ = ["Answer", "Console", "age", "moment", "plain"]

_COLOURS: Final = {"good": "32", "warn": "33", "bad": "31", "dim": "2"}
_WORDS: Final = {
    "ok": "good", "up": "good", "ACTIVE": "good", "FILLED": "good", "WORKING": "good",
    "PARTIAL": "warn", "DONE": "good", "warn": "warn", "degraded": "warn", "REDUCE_ONLY": "warn",
    "PENDING": "warn", "UNKNOWN": "bad", "fail": "bad", "down": "bad", "HALTED": "bad",
    "DENIED": "bad", "REJECTED": "bad", "skip": "dim",
}  # fmt: skip
_MIN_CELL: Final = 6


class Answer(NamedTuple):
    """What a command found: its exit code and, for `--json`, the fields of its object."""

    exit: int
    data: Mapping[str, object] = {}


class Console:
    """One command's output. With `json` only `finish` writes to stdout, once."""

    def __init__(self, *, json: bool, colour: bool, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self._colour = colour and not json and _colour_wanted(sys.stdout)

    def line(self, text: str = "") -> None:
        """Print data."""
        if not self.json:
            print(text)

    def say(self, text: str) -> None:
        """Print talk: what a person reads and a program does not."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def warn(self, text: str) -> None:
        """Print talk that `--quiet` does not silence."""
        print(text, file=sys.stderr)

    def word(self, state: str) -> str:
        """Return a state word, in its colour on a terminal."""
        return self._paint(state, state)

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Print names and values, one pair a line; empty values are left out."""
        shown = [(name, plain(value)) for name, value in pairs if plain(value) != ""]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.line(f"{name:<{width}}  {self._paint(value, value)}")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under their names."""
        cells = [[plain(cell) for cell in row] for row in rows]
        if self.json:
            return
        if not sys.stdout.isatty():
            for row in (head, *cells):
                self.line("\t".join(row))
            return
        widths = _widths(head, cells, shutil.get_terminal_size().columns)
        for line in _lay(head, widths):
            self.line(self._paint("  ".join(line).rstrip(), "dim"))
        for row in cells:
            for line in _lay(row, widths):
                painted = [self._paint(part, word) for part, word in zip(line, row, strict=True)]
                self.line("  ".join(painted).rstrip())

    def finish(self, command: str, answer: Answer) -> int:
        """Write the JSON object if one is wanted; return the exit code."""
        if self.json:
            import msgspec  # noqa: PLC0415  (a plain run must not pay for it)

            body = {
                "schema": f"ztb.{command.replace(' ', '.')}/1" if command else "ztb/1",
                "exit": int(answer.exit),
                "ok": int(answer.exit) == 0,
                **answer.data,
            }
            raw = msgspec.json.encode(body, enc_hook=str)
            if sys.stdout.isatty():
                raw = msgspec.json.format(raw, indent=2)
            print(raw.decode("utf-8"))
        return int(answer.exit)

    def _paint(self, text: str, word: str) -> str:
        colour = _COLOURS.get(_WORDS.get(word, word))
        if not self._colour or colour is None or not text.strip():
            return text
        return f"\x1b[{colour}m{text}\x1b[0m"


def _colour_wanted(stream: TextIO) -> bool:
    # https://no-color.org: present and not empty; TERM=dumb cannot show it.
    return (
        stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"
    )


def _widths(head: Sequence[str], rows: list[list[str]], columns: int) -> list[int]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    spare = columns - 2 * (len(widths) - 1)
    while sum(widths) > spare and max(widths) > _MIN_CELL:
        widths[widths.index(max(widths))] -= 1
    return widths


def _lay(row: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """Return the lines of one row: a cell too long for its column goes on below, nothing is cut."""
    columns = [
        textwrap.wrap(cell, width) if len(cell) > width else [cell]
        for cell, width in zip(row, widths, strict=True)
    ]
    return [
        [f"{part:<{width}}" for part, width in zip(line, widths, strict=True)]
        for line in zip_longest(*columns, fillvalue="")
    ]


def plain(value: object) -> str:
    """Return a value as people read it: times in UTC to the second, no trailing noise."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    # A broker's or server's text must not steer the terminal.
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def moment(ms: int) -> str:
    """Return UTC milliseconds as text, "" for none."""
    if ms <= 0:
        return ""
    try:
        at = datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"  # a peer may say anything; it is shown, not believed
    return f"{at:%Y-%m-%d %H:%M:%S}.{ms % 1000:03d}Z"


def age(ms: int) -> str:
    """Return a duration in milliseconds as people say it."""
    seconds = max(ms, 0) // 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

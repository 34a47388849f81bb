"""What a person sees while the demo runs: a bar on a terminal, one line per 10 % elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Final

from bridge_client.cli.output import Console

__all__ = ["Progress"]

_WIDTH: Final = 79
_CELLS: Final = 24
_REDRAW_S: Final = 0.1
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Talk, so it goes to stderr; a bar only if stdout is a terminal too."""

    def __init__(self, out: Console, total: int) -> None:
        self._out = out
        self._total = total
        self._begun = time.monotonic()
        self._drawn = 0.0
        self._tenth = 0
        self._last = ""
        self.live = not out.quiet and not out.json and sys.stderr.isatty() and sys.stdout.isatty()

    def say(self, text: str) -> None:
        """Say something above the bar."""
        if self.live:
            sys.stderr.write(_CLEAR)
        self._out.say(text)
        if self.live:
            sys.stderr.write(self._last)
            sys.stderr.flush()

    def at(self, done: int, orders: int) -> None:
        """Show how far it is."""
        percent = 100 * done // self._total
        if not self.live:
            if percent // 10 > self._tenth:
                self._tenth = percent // 10
                self._out.say(f"{percent // 10 * 10:3} %  {done} prices  {orders} orders")
            return
        now = time.monotonic()
        if now - self._drawn < _REDRAW_S and done < self._total:
            return
        self._drawn = now
        full = _CELLS * done // self._total
        bar = "#" * full + "." * (_CELLS - full)
        self._last = (
            f"[{bar}] {percent:3} %  {done}/{self._total} prices  {orders} orders  "
            f"{now - self._begun:2.0f} s"
        )[:_WIDTH]
        sys.stderr.write(_CLEAR + self._last)
        sys.stderr.flush()

    def end(self) -> None:
        """Take the bar away."""
        if self.live:
            sys.stderr.write(_CLEAR + "\n")
            sys.stderr.flush()

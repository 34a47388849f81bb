"""Calls the Advisor's floor (mql4/Include/Bridge) line by line in the harness.

`programs/core_main.mq4` reads a file of calls and writes a file of answers, so a test needs no
socket: words between tabs, bytes in hex.
"""

from __future__ import annotations

import functools
import json
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.mql4.build import build
from tests.mql4.toolchain import MISSING, compiler, zmq_header

__all__ = ["Core", "hexed", "needs_compiler"]

PROGRAM: Final = Path(__file__).resolve().parent / "programs" / "core_main.mq4"
RUN_S: Final = 120

needs_compiler = pytest.mark.skipif(compiler() is None or not zmq_header(), reason=MISSING)


def hexed(data: bytes) -> str:
    """Return bytes as a word: hex, "-" for none."""
    return data.hex() or "-"


@functools.cache
def _program() -> Path:
    return build(PROGRAM, sanitize=True)


class Core:
    """One terminal folder; each run is one terminal process that ends, or dies, with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "MQL4" / "Files"
        self.files.mkdir(parents=True, exist_ok=True)

    def run(self, calls: Iterable[Sequence[str]], *commands: str) -> list[list[str]]:
        """Return the words answered to each call; `commands` set faults before the calls.

        Raises:
            AssertionError: the run ended other than well, or broke a rule of the terminal.
        """
        code, events = self._terminal(calls, commands)
        wrong = [e["text"] for e in events if e["event"] in ("violation", "critical")]
        assert not wrong, wrong
        assert code == 0, (code, events)
        lines = (self.files / "core_out.txt").read_text("ascii").splitlines()
        return [line.split("\t") for line in lines]

    def one(self, *call: str) -> list[str]:
        """Return the words answered to a single call."""
        (answer,) = self.run([call])
        return answer

    def run_dying(self, calls: Iterable[Sequence[str]], *commands: str) -> None:
        """Make the calls in a terminal that `commands` let die by SIGKILL on the way."""
        code, events = self._terminal(calls, commands)
        assert code == -signal.SIGKILL, (code, events)

    def _terminal(
        self, calls: Iterable[Sequence[str]], commands: Sequence[str]
    ) -> tuple[int, list[dict[str, str]]]:
        text = "".join("\t".join(call) + "\n" for call in calls)
        (self.files / "core_in.txt").write_text(text, "utf-8")
        script = [f"folder {self.folder}", *commands, "init", "disk ok", "deinit 1", "quit"]
        ended = subprocess.run(
            [str(_program())],
            input="\n".join(script) + "\n",
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        events: list[dict[str, str]] = [json.loads(line) for line in ended.stdout.splitlines()]
        if ended.stderr:
            events.append({"event": "critical", "text": ended.stderr})
        return ended.returncode, events

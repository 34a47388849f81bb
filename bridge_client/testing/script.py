"""Writes the conditions of the paper broker, and waits until they took effect.

The other end is the server's `backends/paper_script.py`; its text is the format of both files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge_client.testing.conditions import SCRIPT, whole
from bridge_core.protocol.errors import BridgeError, ConfigError

__all__ = ["Script"]

_COUNT_MAX: Final = 1_000
_PATIENCE_S: Final = 5.0
_NAP_S: Final = 0.002


class Script:
    """One script, from the side that writes it."""

    def __init__(self, folder: Path, alive: Callable[[], bool]) -> None:
        """`folder` is server.toml's; `alive` says whether there is a server to wait for."""
        self._path = folder / SCRIPT
        self._taken = folder / f"{SCRIPT}.taken"
        self._alive = alive
        self._lines = 0

    def say(self, *, count: int = 1, **instruction: object) -> None:
        """Write an instruction `count` times and wait until the broker has it.

        A server that is not running reads it when it starts.

        Raises:
            ConfigError: the count, or SCRIPT: the broker refused it; says why.
            BridgeError: SCRIPT: the server did not read it.
        """
        text = json.dumps(instruction) + "\n"
        whole(count, "count", (1, _COUNT_MAX))
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text * count)
        self._lines += count
        until = time.monotonic() + _PATIENCE_S
        while self._alive():
            state, why = self._state(self._lines)
            if state == "refused":
                raise ConfigError("SCRIPT", why)
            if state:
                return
            if time.monotonic() >= until:
                raise BridgeError("SCRIPT", f"the server did not read {text.strip()}")
            time.sleep(_NAP_S)

    def _state(self, line: int) -> tuple[str, str]:
        found = ("", "")
        try:
            text = self._taken.read_text("utf-8")
        except FileNotFoundError:
            return found
        for one in text.splitlines():
            try:
                row = json.loads(one)
            except ValueError:
                continue  # half written, or cut off by a kill
            if row["line"] == line:
                found = (row["state"], row["why"])
        return found

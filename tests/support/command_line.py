"""`ztb` as a user runs it: in this process for speed, in its own where the claim is about one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge_client.cli.main import main
from tests.support.running import wait_until
from tests.support.said import tell

__all__ = ["Ended", "ROOT", "Ztb", "on_a_terminal", "row_when", "run_process"]

ROOT = Path(__file__).resolve().parents[2]


class Ended(NamedTuple):
    """How one run ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout; anything else on it is an error."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class Ztb:
    """Runs `ztb` in this process; `fixture` is pytest's capsys."""

    def __init__(self, fixture: pytest.CaptureFixture[str]) -> None:
        self._captured = fixture

    def __call__(self, *words: object) -> Ended:
        self._captured.readouterr()
        code = main([str(word) for word in words])
        captured = self._captured.readouterr()
        return Ended(code, captured.out, captured.err)


def row_when(
    checks: Callable[[], dict[str, dict[str, Any]]], name: str, *says: str
) -> dict[str, Any]:
    """Return a doctor's row once it fails and its finding and fix say all of this.

    Looks twice a second: a doctor asks some twenty questions, and a key has so many a second.
    """
    seen: list[dict[str, Any]] = []

    def holds() -> bool:
        seen.append(checks()[name])
        told = f"{seen[-1]['finding']} {seen[-1]['fix']}"
        return seen[-1]["state"] == "fail" and all(words in told for words in says)

    wait_until(holds, 30.0, every=0.5)
    return seen[-1]


def _environment(**more: str) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if k not in ("ZTB_CONFIG", "NO_COLOR")}
    return {**env, "PYTHONPATH": str(ROOT), **more}


def run_process(*words: object, cwd: Path | None = None, **env: str) -> Ended:
    """Run `python -m bridge_client` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "bridge_client", *map(str, words)],
        cwd=cwd,
        env=_environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def on_a_terminal(
    *words: object, typed: str = "", cwd: Path | None = None, columns: int = 80, **env: str
) -> Ended:
    """Run it on a pseudo-terminal, with `typed` on its keyboard; out and err are one stream."""
    import pty  # POSIX only; the caller skips elsewhere

    child, master = pty.fork()
    if child == 0:
        if cwd is not None:
            os.chdir(cwd)
        environment = {**_environment(), "TERM": "xterm", "COLUMNS": str(columns), **env}
        argv = [sys.executable, "-m", "bridge_client", *map(str, words)]
        os.execvpe(sys.executable, argv, environment)
    os.write(master, typed.encode())
    said = b""
    while True:
        try:
            chunk = os.read(master, 65_536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not chunk:
            break
        said += chunk
    _, status = os.waitpid(child, 0)
    os.close(master)
    tell("a terminal", said)
    return Ended(os.waitstatus_to_exitcode(status), said.decode().replace("\r\n", "\n"), "")

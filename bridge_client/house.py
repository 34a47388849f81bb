"""A paper account on this machine: made by `ztb init`, served by a real `ztb-server` process.

The demo and the test kit live in one. The process can be killed, as `kill -9` does, and started
again on the same folder.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bridge_client.settings import load_settings, parse_endpoint
from bridge_client.transport import Dial
from bridge_core.host.bundles import Bundle, load_bundle
from bridge_core.protocol.errors import BridgeError, ConfigError

__all__ = ["PaperHouse", "free_port", "make_account", "run_module"]

_PORT_LOW, _PORT_HIGH = 20_000, 30_000  # below what systems give to outgoing connections
_STOP_S: Final = 15.0
_RUN_S: Final = 60.0
# Where `python -m` finds our packages, installed or not.
_ROOT: Final = Path(__file__).resolve().parents[1]


def run_module(*words: str) -> tuple[int, str, str]:
    """Run `python -m WORDS` to its end; return exit code, stdout, stderr."""
    done = subprocess.run(  # noqa: S603  (our own interpreter and modules)
        [sys.executable, "-m", *words],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_RUN_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def make_account(out: Path, account: str, symbols: Sequence[str], max_volume: str) -> int:
    """Make an account's folder in `out` with `ztb init`; return its request port.

    Raises:
        ConfigError: `ztb init` failed; says why.
    """
    named = [word for symbol in symbols for word in ("--symbol", symbol)]
    words = ("bridge_client", "init", account, *named, "--out", str(out))
    more = ("--max-volume", max_volume, "--port", str(free_port()), "--json")
    code, said, talk = run_module(*words, *more)
    if code:
        raise ConfigError("INIT", f"`ztb init` failed: {talk.strip() or said.strip()}")
    return int(json.loads(said)["port"])


class PaperHouse:
    """One account's folder, as `ztb init` made it, and its server process."""

    def __init__(self, folder: Path, port: int) -> None:
        """Nothing is started yet; `port` is what server.toml says."""
        self.folder = folder
        self.port = port
        self.server_folder = self.folder / "server"
        self.server_toml = self.server_folder / "server.toml"
        self.connector_toml = self.folder / "connector" / "connector.toml"
        self.ledger = self.server_folder / "state" / "ledger.jsonl"
        self.server_journal = self.server_folder / "state" / "journal.db"
        self._process: subprocess.Popen[bytes] | None = None

    # --- keys --------------------------------------------------------------------------------

    def bundle(self) -> Bundle:
        """Return the connector's keys."""
        settings = load_settings(self.connector_toml)
        return load_bundle(self.connector_toml.parent / settings.keys)

    def dial(self) -> Dial:
        """Return where the server is, and with which keys to call it."""
        bundle = self.bundle()
        place = parse_endpoint(load_settings(self.connector_toml).server, self.connector_toml)
        return Dial(place.host, place.port, bundle.curve(), bundle.server_public.encode("ascii"))

    # --- the server process --------------------------------------------------------------------

    def start(self) -> int:
        """Start the server process and return its pid."""
        command = [sys.executable, "-m", "bridge_server", "run", "--config", str(self.server_toml)]
        with (self.folder / "server.out").open("ab") as said:
            self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
                command,
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        # Whoever forgets to stop it must not leave it behind.
        weakref.finalize(self, _end, self._process)
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server process lives."""
        return self._process is not None and self._process.poll() is None

    def said(self) -> list[str]:
        """Return what the server processes of this account have said, by line."""
        return (self.folder / "server.out").read_text("utf-8", "replace").splitlines()

    def alive(self) -> None:
        """Check that the server runs.

        Raises:
            BridgeError: it has ended; says what it said last.
        """
        if self._process is None or self._process.poll() is None:
            return
        last = "".join(self.said()[-1:])[-400:]
        raise BridgeError("SERVER_ENDED", f"exit={self._process.returncode} said={last!r}")

    def kill(self) -> int:
        """Kill the server as `kill -9` does and return the pid it had."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        return self._process.pid

    def stop(self, patience_s: float = _STOP_S) -> None:
        """End the server as an operator would; kill it if it does not. Idempotent."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return P such that P, P+1 and P+2 are free on this machine.

    Raises:
        ConfigError: PORT: there are none.
    """
    # Two at once should not meet; the start says so if they do.
    step = 3
    first = _PORT_LOW + time.monotonic_ns() % ((_PORT_HIGH - _PORT_LOW) // step) * step
    for port in range(first, _PORT_HIGH, step):
        if all(_can_bind(one) for one in range(port, port + step)):
            return port
    raise ConfigError("PORT", "no three free ports below 30000: close something")


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

"""A house that is made for dying: copied in a moment, its server forked from a warm process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from bridge_core.host.sqlite import Reserve
from tests.crash.stage import Plan
from tests.mql4.house import House
from tests.mql4.terms import BrokerTerms
from tests.support.faulty_disk import FaultyDisk, library
from tests.support.running import wait_until
from tests.support.zygote import Child, Zygote

__all__ = ["CrashHouse", "CrashStage"]

_SETTLE_S: Final = 1
_READY_S: Final = 40.0
# A request signed before the EA's start plus this has to be looked for, and does not run.
_FENCE_S: Final = 1.1


class CrashStage:
    """One for a test session: the zygote, and the account that all others are copied from."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="ztb-crash-ea-"))
        self._undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.no_faults = ""
        preload = None
        try:
            preload = library(self.folder)
        except LookupError as error:
            self.no_faults = str(error)
        self.zygote = Zygote(preload)
        self._undo.callback(self.zygote.close)
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        self.template = House(self.folder)
        state = self.template.folder / "server/state"
        state.mkdir(mode=0o700)
        Reserve(state / "journal.db").ensure()  # only ever removed, never written to: one for all

    def open(self, *, faults: bool = False, call_ms: int = 0) -> CrashHouse:
        """Return a house of its own; enter it to start it, leave it to end and judge it."""
        return CrashHouse(self, faults=faults, call_ms=call_ms)

    def close(self) -> None:
        """End the zygote and remove every file."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class CrashHouse(House):
    """`kill_server` and `terminal.kill` as often as you like.

    `faults` puts a faulty disk under the server's state; `call_ms` is how long its next run lets a
    broker call take (0: a minute, as it is).
    """

    def __init__(self, stage: CrashStage, *, faults: bool, call_ms: int) -> None:
        self._stage = stage
        self._child: Child | None = None
        self._runs = 0
        root = Path(tempfile.mkdtemp(dir=stage.folder))
        super().__init__(root, inputs={"SettleSeconds": _SETTLE_S})
        self.call_ms = call_ms
        self.disk = (
            FaultyDisk.make(root / "disk.control", self.folder / "server/state") if faults else None
        )

    def _make(self, folder: Path, terms: BrokerTerms, extra: str) -> None:
        del terms, extra
        model = self._stage.template
        shutil.copytree(model.folder, self.folder, ignore=shutil.ignore_patterns("reserve"))
        reserve = "server/state/reserve"
        os.link(model.folder / reserve, self.folder / reserve)
        for name, pattern, port in (
            ("server/server.toml", r"^port = \d+", self.port),
            ("connector/connector.toml", r"127\.0\.0\.1:\d+", self.port),
            ("operator/connector.toml", r"127\.0\.0\.1:\d+", self.port),
            ("ea/bridge.key", r"127\.0\.0\.1:\d+", self.port + 2),
        ):
            file = self.folder / name
            old = file.read_text("utf-8")
            found = re.findall(pattern, old, re.MULTILINE)
            assert len(found) == 1, (name, found)
            file.write_text(old.replace(found[0], re.sub(r"\d+\Z", str(port), found[0])), "utf-8")

    # --- the server ----------------------------------------------------------------------------

    @property
    def child(self) -> Child:
        """The server's process."""
        assert self._child is not None
        return self._child

    def start_server(self) -> None:
        """Fork a server that can be armed; it waits a moment for the EA before it listens."""
        if self._child is not None:
            self._child.kill()
        self._runs += 1
        given: dict[str, Any] = {
            "config": str(self.folder / "server/server.toml"),
            "plan": str(self._plan), "call_ms": self.call_ms,
        }  # fmt: skip
        if self.disk is not None:
            given |= {"control": str(self.disk.control), "history": str(self.disk.history)}
        errors = self.folder / f"server/{self._runs}.err"
        self._child = self._stage.zygote.spawn("tests.mql4.doomed_relay", given, errors)

    @property
    def _plan(self) -> Path:
        return self.folder / "server/plan.json"

    def arm(self, plan: Plan) -> None:
        """Tell the running server where it meets its end."""
        self._plan.write_text(json.dumps(plan), "ascii")
        self.child.said.pop("armed", None)
        self.child.signal(signal.SIGUSR1)
        self.child.expect("armed")
        for word in (*plan, "sent"):
            self.child.said.pop(word, None)

    def kill_server(self) -> None:
        """SIGKILL, whatever it is doing."""
        self.child.kill()

    def close(self) -> None:
        """End the server as a user does."""
        if self._child is not None:
            self._child.signal(signal.SIGTERM)
            assert self._child.ended() == 0, self._child.trouble()
            self._child.kill()
            self._child = None

    # --- whoever is there ----------------------------------------------------------------------

    def start_terminal(self) -> None:
        """Start the terminal with the EA; whether the server is there does not matter."""
        assert self.terminal.start() == 0, self.terminal.prints[-5:]
        self._fence = time.time() + _FENCE_S

    def ready(self) -> None:
        """Wait until a new order would run: the server is ACTIVE, the EA past its boot fence."""
        assert self.child.says("listening"), self.child.trouble()
        super().ready()
        wait_until(lambda: time.time() > self._fence, _READY_S)

    def __enter__(self) -> Self:
        try:
            self.start_terminal()
            self.start_server()
        except BaseException:
            self.close()
            self.terminal.kill()
            raise
        return self

    def remove(self) -> None:
        """Remove every file of it."""
        if self.disk is not None:
            self.disk.close()
        shutil.rmtree(self.folder.parent, ignore_errors=True)

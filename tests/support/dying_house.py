"""Houses that are made for dying: copied in a moment, their servers forked from a warm process."""

from __future__ import annotations

import json
import re
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.crash.stage import Plan
from tests.support.faulty_disk import FaultyDisk, library
from tests.support.running import copy_account, make_reserve
from tests.support.server_house import ServerHouse
from tests.support.zygote import Child, Zygote

__all__ = ["DyingHouse", "Edit", "Stage"]

# A file of the account, what is found there exactly once, and what is written over it.
Edit = tuple[str, str, str]


class Stage:
    """One for a test session: the zygote, and the account that all others are copied from.

    `warm` are modules that every child finds imported; an heir makes `template`.
    """

    template: ServerHouse

    def __init__(self, warm: Sequence[str] = ()) -> None:
        self._undo = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="ztb-crash-"))
        self._undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.no_faults = ""
        preload = None
        try:
            preload = library(self.folder)
        except LookupError as error:
            self.no_faults = str(error)
        self.zygote = Zygote(preload, warm)
        self._undo.callback(self.zygote.close)
        try:
            self.template = self.make()
            make_reserve(self.template.folder)
            config = str(self.template.folder / "server/server.toml")
            self.zygote.rehearse("tests.support.doomed_server", {"config": config})
        except BaseException:
            self.close()
            raise

    def make(self) -> ServerHouse:
        """Make the account that is copied."""
        raise NotImplementedError

    def close(self) -> None:
        """End the zygote and remove every file."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DyingHouse(ServerHouse):
    """Stands before a house among the bases of an heir: `kill_server` as often as you like.

    `module` is what the zygote runs as the server; `faults` puts a faulty disk under its state.
    """

    module: str

    def __init__(self, stage: Stage, *, faults: bool, **house: Any) -> None:
        self._stage = stage
        self._child: Child | None = None
        self._runs = 0
        root = Path(tempfile.mkdtemp(dir=stage.folder))
        super().__init__(root, **house)
        self.disk = (
            FaultyDisk.make(root / "disk.control", self.folder / "server/state") if faults else None
        )

    def _make(self, folder: Path, made: Sequence[str], extra: str) -> None:
        copy_account(self._stage.template.folder, self.folder)
        for name, pattern, new in (*self.ports(), *self.edits()):
            file = self.folder / name
            text = file.read_text("utf-8")
            found = re.findall(pattern, text, re.MULTILINE)
            assert len(found) == 1, (name, pattern, found)
            file.write_text(text.replace(found[0], new), "utf-8")

    def ports(self) -> tuple[Edit, ...]:
        """Return where the account's port stands."""
        return (
            ("server/server.toml", r"^port = \d+", f"port = {self.port}"),
            ("connector/connector.toml", r"127\.0\.0\.1:\d+", f"127.0.0.1:{self.port}"),
            ("operator/connector.toml", r"127\.0\.0\.1:\d+", f"127.0.0.1:{self.port}"),
        )

    def edits(self) -> tuple[Edit, ...]:
        """Return what else differs from the template."""
        return ()

    # --- the server ----------------------------------------------------------------------------

    @property
    def child(self) -> Child:
        """The server's process."""
        assert self._child is not None
        return self._child

    def given(self) -> dict[str, Any]:
        """Return what else the server's process is given."""
        return {}

    def start_server(self, plan: Plan | None = None) -> None:
        """Fork a server that can be armed, or meets its end by a plan from the first moment."""
        if self._child is not None:
            self._child.kill()
        self._runs += 1
        given = {
            "config": str(self.folder / "server/server.toml"), "plan": str(self._plan),
            "at": plan or {}, **self.given(),
        }  # fmt: skip
        if self.disk is not None:
            given |= {"control": str(self.disk.control), "history": str(self.disk.history)}
        errors = self.folder / f"server/{self._runs}.err"
        self._child = self._stage.zygote.spawn(self.module, given, errors)

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

    @property
    def server_pid(self) -> int:
        """The server's process id."""
        return self.child.pid

    @property
    def server_alive(self) -> bool:
        """Whether the server's process lives."""
        return self._child is not None and not self._child.gone(0.0)

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

    def ready(self) -> None:
        """Wait until a new order would run."""
        assert self.child.says("listening"), self.child.trouble()
        super().ready()

    def remove(self) -> None:
        """Remove every file of it."""
        if self.disk is not None:
            self.disk.close()
        shutil.rmtree(self.folder.parent, ignore_errors=True)

"""What every run of the matrix needs: a warm zygote, an account of its own, servers, connectors."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Self

from bridge_client import Connector
from tests.support.doom import SUBJECT
from tests.support.faulty_disk import FaultyDisk, library
from tests.support.raw_client import RawClient
from tests.support.running import Account, copy_account, free_port, make_account
from tests.support.zygote import Child, Zygote

__all__ = ["CLIENT", "FIRST", "Plan", "Run", "Stage"]

CLIENT: Final = "atlas"
FIRST: Final = "first"
Plan = dict[str, list[list[Any]]]


class Stage:
    """One for a test session: the zygote, the account that all others are copied from, ports."""

    def __init__(self, pipelines: int) -> None:
        self._undo = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="ztb-crash-"))
        self._undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.no_faults = ""
        preload = None
        try:
            preload = library(self.folder)
        except LookupError as error:
            self.no_faults = str(error)
        self.zygote = Zygote(preload)
        self._undo.callback(self.zygote.close)
        self._ports: SimpleQueue[int] = SimpleQueue()
        for _ in range(pipelines):
            self._ports.put(free_port())
        self._template = make_account(self.folder / "template", extra="signature_ttl_s = 10")
        self._warm_up()

    def _warm_up(self) -> None:
        # The copies begin with a journal, a broker with quotes and a connector's journal.
        _connect_to(self._template, "ttl_ms = 5000")
        config = str(self._template.config)
        self.zygote.rehearse("tests.support.doomed_server", {"config": config})
        with Run(self, self._template) as run:
            run.serve()
            with run.connector() as bridge:
                bridge.connect(20)
        for name in ("journal.db", "paper.db"):
            assert (self._template.state / name).exists()

    def open(self, ttl_ms: int = 5_000) -> Run:
        """Return a run with a fresh account; close it by leaving its `with` block."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        copy_account(self._template.folder, folder / "demo")
        account = Account(folder / "demo", self._ports.get())
        account.edit(f"port = {self._template.port}", f"port = {account.port}")
        _connect_to(account, f"ttl_ms = {ttl_ms}")
        return Run(self, account, copied=True)

    def take_back(self, account: Account) -> None:
        """Remove a copy; its port serves the next."""
        shutil.rmtree(account.folder.parent, ignore_errors=True)
        self._ports.put(account.port)

    def close(self) -> None:
        """End the zygote and remove every file."""
        self._undo.close()


def _connect_to(account: Account, ttl: str) -> None:
    for who in ("connector", "trade"):
        file = account.bundle(who) / "connector.toml"
        text = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{account.port}", file.read_text("utf-8"))
        text = re.sub(r"max_positions = \d+", "max_positions = 1000", text)
        text = re.sub(r"^ttl_ms = .*\n", "", text, flags=re.MULTILINE)
        file.write_text(f"{ttl}\n{text}", "utf-8")


class Run:
    """One account and all that runs on it, from the first start to the last look at its files."""

    def __init__(self, stage: Stage, account: Account, *, copied: bool = False) -> None:
        self.stage = stage
        self.account = account
        self._undo = ExitStack()
        if copied:
            self._undo.callback(stage.take_back, account)
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    # --- processes -----------------------------------------------------------------------------

    def _spawn(self, module: str, given: dict[str, Any], disk: FaultyDisk | None) -> Child:
        self._count += 1
        if disk is not None:
            given["control"] = str(disk.control)
            given["history"] = str(disk.history)
        errors = self.account.folder / f"{self._count}.err"
        child = self.stage.zygote.spawn(f"tests.support.{module}", given, errors)
        self._undo.callback(child.kill)
        return child

    def disk(self, folder: Path) -> FaultyDisk:
        """Return a faulty disk under one folder, for the next process."""
        self._count += 1
        disk = FaultyDisk.make(self.account.folder / f"{self._count}.control", folder)
        self._undo.callback(disk.close)
        return disk

    def serve(
        self, at: Plan | None = None, *, hold: dict[str, str] | None = None,
        disk: FaultyDisk | None = None, ready: bool = True,
    ) -> Child:  # fmt: skip
        """Start a server process; with `ready`, wait until it takes entries."""
        if disk is None and at and _faulty(at):
            disk = self.disk(self.account.state)
        given = {"config": str(self.account.config), "at": at or {}, "hold": hold or {}}
        child = self._spawn("doomed_server", given, disk)
        # Somebody else on this machine may look whether our port is free at just this moment.
        while not child.says("listening") and "Address already in use" in child.trouble():
            time.sleep(0.2)
            child = self._spawn("doomed_server", given, disk)
        if ready:
            child.expect("ready")
        return child

    def trade(
        self, at: Plan | None = None, *, orders: tuple[str, ...] = (SUBJECT,), wait: float = 10.0,
        disk: FaultyDisk | None = None,
    ) -> Child:  # fmt: skip
        """Start a connector process that buys these; every order but the last is not waited for."""
        state = self.account.bundle() / "state"
        if disk is None and at and _faulty(at):
            disk = self.disk(state)
        listed = [{"id": one, "wait": 0.0} for one in orders[:-1]]
        listed.append({"id": orders[-1], "wait": wait})
        given = {"config": str(self.account.bundle()), "at": at or {}, "orders": listed}
        return self._spawn("doomed_connector", given, disk)

    # --- clients in this process ---------------------------------------------------------------

    def connector(self, who: str = "connector") -> Connector:
        """Return the client's connector, in this process."""
        bridge = Connector.from_config(self.account.bundle(who), client=CLIENT)
        self._undo.callback(bridge.close)
        return bridge

    def be_patient(self) -> None:
        """Let orders live long again: the next connector is not about deadlines."""
        _connect_to(self.account, "ttl_ms = 5000")

    def raw(self, who: str = "connector") -> RawClient:
        """Return a mannerless client that has said HELLO."""
        client = self.account.client(who)
        self._undo.callback(_close, client)
        return client

    # --- files ---------------------------------------------------------------------------------

    @property
    def journal(self) -> Path:
        """The server's journal."""
        return self.account.state / "journal.db"

    @property
    def ledger(self) -> Path:
        """The broker's ledger."""
        return self.account.state / "ledger.jsonl"

    def client_journal(self, who: str = "connector") -> Path:
        """The connector's journal."""
        return self.account.bundle(who) / "state" / f"{CLIENT}.db"

    def remove(self, database: Path) -> None:
        """Destroy a database, with what belongs to it."""
        for file in database.parent.glob(database.name + "*"):
            if not file.name.endswith(".lock"):
                file.unlink()

    def copy(self, database: Path, into: str) -> Path:
        """Copy a database as it stands on the disk, and return the copy."""
        folder = self.account.folder / into
        folder.mkdir(exist_ok=True)
        for file in database.parent.glob(database.name + "*"):
            shutil.copy2(file, folder)
        return folder / database.name


def _close(client: RawClient) -> None:
    client.close()


def _faulty(at: Plan) -> bool:
    return any(word[0] in ("rules", "mute") for words in at.values() for word in words)


def freeze(child: Child) -> None:
    """Stop a process without ending it."""
    child.signal(signal.SIGSTOP)

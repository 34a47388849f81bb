"""An account with limits of a test's own, and what its server's journal says of the day."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Final

import msgspec
from msgspec import Struct

from bridge_core.protocol.messages import Resume
from bridge_core.protocol.operations import Op
from bridge_core.risk.state import RiskState
from tests.support.raw_client import Answer, RawClient
from tests.support.running import Account, Running, wait_until

__all__ = [
    "HOUR_MS", "causes", "kept_state", "limit", "resume", "wait_cause", "wait_known",
    "write_state",
]  # fmt: skip

HOUR_MS: Final = 3_600_000


def limit(account: Account, risk: str = "", symbol: str = "") -> None:
    """Set `[risk]` beside the required ones, and lines of `[limits.EURUSD]`."""
    text = account.config.read_text("utf-8")
    required = "require_sl = false" if "require_sl" not in risk else ""
    if "max_daily_loss" not in risk:
        required += ', max_daily_loss = "20%"'
    table = ", ".join(one for one in (required.strip(", "), risk) if one)
    text, found = re.subn(r"(?m)^risk = .*$", f"risk = {{ {table} }}", text)
    assert found == 1
    for line in symbol.splitlines():
        name = line.split("=")[0].strip()
        text = re.sub(rf"(?m)^{name} = .*\n", "", text)
        text += f"{line}\n"
    account.config.write_text(text, "utf-8")


def causes(client: RawClient) -> set[str]:
    """Return the causes in force."""
    return {one.cause for one in client.health().causes}


def wait_cause(client: RawClient, cause: str) -> None:
    """Wait until a cause is in force."""
    wait_until(lambda: cause in causes(client))


def wait_known(server: Running) -> RawClient:
    """Return a client once the server is active and knows what the day has brought."""
    client = server.ready()
    wait_until(lambda: server.server.service.keeper.state.realised is not None)
    return client


def resume(server: Running, cause: str) -> Answer:
    """Send an operator's word."""
    with server.account.client("operator") as operator:
        return operator.do(Op.RESUME, Resume(cause=cause, reason="looked at it"))


class _Kept(Struct):
    state: RiskState


def kept_state(account: Account) -> RiskState:
    """Return what the journal of a server that has ended keeps."""
    with closing(sqlite3.connect(account.state / "journal.db")) as db:
        (raw,) = db.execute("SELECT value FROM meta WHERE key = 'risk'").fetchone()
    return msgspec.json.decode(raw, type=_Kept).state


def write_state(account: Account, raw: str) -> None:
    """Write something else there."""
    with closing(sqlite3.connect(account.state / "journal.db")) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'risk'", (raw,))

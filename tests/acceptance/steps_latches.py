"""How an account comes to be halted without anybody's request, and other accounts' keys."""

from __future__ import annotations

import contextlib
import io
from functools import cache
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from bridge_client.cli.main import main as ztb
from bridge_core.host.bundles import load_bundle
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag
from bridge_server.core.ports import Snapshot
from bridge_server.journal import Journal
from tests.acceptance.house import House, StageClient
from tests.acceptance.language import says
from tests.acceptance.steps_scopes import body_of
from tests.acceptance.world import World
from tests.support.raw_client import open_body
from tests.support.running import wait_until
from tests.support.scripted_backend import loses

__all__ = ["other_account", "state_of"]

_HOUR_MS: Final = 3_600_000


def state_of(house: House) -> str:
    """Return the trading state and its causes, once the start-up reconciliation is over."""
    client = house.client()
    wait_until(lambda: all(one.cause != "RECOVERING" for one in client.hello().causes), 10)
    found = client.hello()
    return " ".join([found.state, *(cause.cause for cause in found.causes)])


@says(r"after a restart the state is")
def after_a_restart(world: World) -> str:
    """Stop, start, and say the state with its causes."""
    world.house.stop()
    world.house.start()
    return state_of(world.house)


# --- latches that fall by themselves -------------------------------------------------------------


def _identity(world: World) -> None:
    # The terminal is logged in elsewhere for a moment, and back again.
    house = world.house
    house.ready()
    real = house.broker.snapshot

    def elsewhere() -> Snapshot:
        shot = real()
        return replace(shot, identity=replace(shot.identity, login=4711))

    vars(house.broker)["snapshot"] = elsewhere
    wait_until(lambda: house.client().hello().state == "HALTED")
    del vars(house.broker)["snapshot"]


def _ghost_fill(world: World) -> None:
    # An order that was concluded absent turns up at the broker after all.
    house = world.house
    house.ready()
    house.broker.plan.append(loses(executed=False))
    lost = world.sign("ghost", Op.OPEN, open_body())
    world.ask(lost)
    client = house.client()
    wait_until(lambda: client.status(rid=lost.rid).subject().status == "DENIED")
    tag = make_tag(lost.token.acct, lost.rid)
    house.broker.put_position(magic=tag.mt5_magic(0), comment=tag.comment)
    wait_until(lambda: house.client().hello().state == "HALTED")
    house.broker.positions = {}


def _high_water(world: World) -> None:
    # The last run was an hour later than now: somebody set the clock back.
    house = world.house
    house.ready()
    house.stop()
    journal = Journal(house.account.state / "journal.db")
    journal.put_meta({"wall_high_water": str(house.clock.wall_ms() + _HOUR_MS)})
    journal.close()
    house.start()


def _journal_fatal(world: World) -> None:
    # What a server leaves behind whose disk failed.
    house = world.house
    house.ready()
    house.stop()
    (house.account.state / "journal_fatal").write_text("HALTED JOURNAL_FATAL sqlite=IOERR\n")
    house.start()


_FALLS: Final = {
    "IDENTITY": _identity, "GHOST_FILL": _ghost_fill, "CLOCK_HIGH_WATER": _high_water,
    "JOURNAL_FATAL": _journal_fatal,
}  # fmt: skip


@says(r"the latch (?P<latch>[A-Z_]+) has fallen")
def has_fallen(world: World, latch: str) -> str:
    """Make a server of its own latch by itself, as it would in the field."""
    world.fresh()
    _FALLS[latch](world)
    return state_of(world.house)


@says(r"the file `halted` says (?P<line>.+)")
def halted_file(world: World, line: str) -> str:
    """Write the file by hand before the start, as an operator may."""
    house = world.fresh()
    text = "" if line == "(nothing at all)" else line.replace(r"\n", "\n")
    (house.account.state / "halted").write_text(text, "ascii")
    house.start()
    return state_of(house)


# --- another account ---------------------------------------------------------------------------


@cache
def other_account(folder: Path) -> Path:
    """Return the folder of an account with keys of its own, made by `ztb init`."""
    words = ("init", "other", "--symbol", "EURUSD", "--max-volume", "1", "--out", str(folder))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert ztb(list(words)) == 0
    return folder / "other"


@says(r"the connector of another account asks (?P<op>[A-Z_]+) here")
def other_asks_here(world: World, op: str) -> str:
    """Send another account's signed request to this server, over that account's CURVE identity."""
    theirs = load_bundle(other_account(world.stage.folder) / "connector/keys/connector.key")
    ours = world.client().bundle
    known = replace(theirs, server_public=ours.server_public)  # even the server's key was found out
    stranger = StageClient(known, f"tcp://127.0.0.1:{world.house.account.port}", world.house)
    world.at_end(stranger.close)
    frames: Frames = stranger.sign(Op(op), body_of(Op(op), stranger, world))
    try:
        stranger.send(frames, patience_s=0.3)
    except TimeoutError:
        return "no connection"
    return "sent"

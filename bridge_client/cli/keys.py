"""`ztb keys add, list, retire, revoke`: who may sign, at the server and in the EA's file alike."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_client.cli.bundling import (
    Added,
    Ended,
    add_bundle,
    end_set,
    held_in,
    take_back,
)
from bridge_client.cli.exits import UsageError
from bridge_client.cli.init import checked_name
from bridge_client.cli.output import Answer, moment
from bridge_core.protocol.keys import KeyState
from bridge_core.protocol.operations import Scope

if TYPE_CHECKING:
    from bridge_client.cli.main import Context

__all__ = ["add", "retire", "revoke", "show"]

_RESERVED = frozenset({"server", "connector", "operator", "ea"})
_EA_READS = "the EA takes it within 5 s, without a restart"
_RESTART = "then restart the server: it reads its keys when it starts"


def _account(text: str) -> Path:
    account = Path(text)
    if not account.is_dir():
        raise UsageError(f"there is no folder {text}: name the account's folder with --account")
    return account


def _configuration(account: Path) -> str:
    for side in ("connector", "operator"):
        path = account / side / "connector.toml"
        if path.is_file():
            return path.read_text("utf-8")
    raise UsageError(
        f"{account} has no connector/connector.toml to copy: name the account's folder with "
        "--account",
        "NO_ACCOUNT",
    )


def add(ctx: Context) -> Answer:
    """Make a bundle's folder beside `connector/` and the server's file for it."""
    name = checked_name(ctx.args.name)
    account = _account(ctx.args.account)
    folder = account / name
    if name in _RESERVED or folder.exists():
        raise UsageError(f"{folder} is taken: choose another name", "EXISTS")
    text = _configuration(account)
    building = account / f".{name}.{secrets.token_hex(4)}"
    added: Added | None = None
    try:
        (building / "keys").mkdir(mode=0o700, parents=True)
        building.chmod(0o700)
        added = add_bundle(account, building, Scope(ctx.args.scope))
        toml = building / "connector.toml"
        toml.write_text(text, "utf-8", newline="\n")
        toml.chmod(0o600)
        building.rename(folder)
    except BaseException:
        if added is not None:
            take_back(account, added)
        shutil.rmtree(building, ignore_errors=True)
        raise
    return _tell_added(ctx, folder, building, added)


def _settled(path: Path, building: Path, folder: Path) -> Path:
    """Return where a file is since `building` became `folder`."""
    return folder / path.relative_to(building) if path.is_relative_to(building) else path


def _tell_added(ctx: Context, folder: Path, building: Path, added: Added) -> Answer:
    verify = _settled(added.server_file, building, folder)
    here = verify.parent.parent.name == "server"
    out = ctx.out
    out.line(f"made {folder}: key id {added.bundle.kid}, scope {added.bundle.scope}")
    out.say(
        f"if the server runs on another machine, copy {verify} into its keys folder"
        if here
        else f"copy {verify} into the server's keys folder, then delete it here"
    )
    ea = _settled(added.ea_file, building, folder) if added.ea_file is not None else None
    if ea is not None:
        out.say(
            f"copy {ea} into MQL4/Files again: {_EA_READS}"
            if ea == added.ea_file
            else f"paste the line of {ea} above `end` in MQL4/Files/bridge.key, then delete it here"
        )
    out.say(_RESTART)
    return Answer(
        0,
        {
            "folder": str(folder),
            "kid": added.bundle.kid,
            "scope": str(added.bundle.scope),
            "server_file": str(verify),
            "server_side_here": here,
            "ea_file": str(ea) if ea is not None else "",
        },
    )


def retire(ctx: Context) -> Answer:
    """Let a key set end at a date: until then it signs as before."""
    until: int = ctx.args.until
    if until <= time.time_ns() // 1_000_000:
        raise UsageError(
            "--until is over already: name a later time, or use `ztb keys revoke`", "UNTIL"
        )
    ended = end_set(_account(ctx.args.account), ctx.args.kid, KeyState.RETIRING, until)
    return _tell_ended(ctx, ended, f"key id {ctx.args.kid} ends at {moment(until)}")


def revoke(ctx: Context) -> Answer:
    """End a key set at once, at the server and in the EA's file."""
    ended = end_set(_account(ctx.args.account), ctx.args.kid, KeyState.REVOKED)
    if ended.scope in (Scope.TRADE, Scope.REDUCE):
        ctx.out.say(
            "orders of this key that are not final stay UNKNOWN to their connector: "
            "look at `ztb positions` with another key"
        )
    return _tell_ended(ctx, ended, f"key id {ctx.args.kid} is revoked")


def _tell_ended(ctx: Context, ended: Ended, what: str) -> Answer:
    out = ctx.out
    out.line(what)
    if ended.server_file is not None:
        out.say(f"if the server runs on another machine, copy {ended.server_file} into its keys "
                "folder")  # fmt: skip
    if ended.ea_file is not None:
        out.say(f"copy {ended.ea_file} into MQL4/Files again: {_EA_READS}")
    out.say(_RESTART)
    return Answer(
        0,
        {
            "kid": ctx.args.kid,
            "scope": ended.scope,
            "server_file": str(ended.server_file or ""),
            "ea_file": str(ended.ea_file or ""),
        },
    )


def show(ctx: Context) -> Answer:
    """List the key sets; keys themselves are never shown."""
    held = held_in(_account(ctx.args.account))
    ctx.out.table(
        ("KID", "SCOPE", "STATE", "FOLDER", "SERVER HAS IT", "EA HAS IT"),
        [
            (
                one.kid,
                one.scope,
                one.state or "?",
                one.folder or "not here",
                one.server_has_it,
                "" if one.ea_has_it is None else one.ea_has_it,
            )
            for one in held
        ],
    )
    return Answer(0, {"keys": [one._asdict() for one in held]})

"""`ztb keys add` and `ztb keys list`: further bundles, each with its own scope."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_client.cli.bundling import add_bundle, held_in
from bridge_client.cli.exits import UsageError
from bridge_client.cli.init import checked_name
from bridge_client.cli.output import Answer
from bridge_core.protocol.operations import Scope

if TYPE_CHECKING:
    from bridge_client.cli.main import Context

__all__ = ["add", "show"]

_RESERVED = frozenset({"server", "connector", "operator", "ea"})


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
    try:
        (building / "keys").mkdir(mode=0o700, parents=True)
        building.chmod(0o700)
        bundle, verify = add_bundle(account, building, Scope(ctx.args.scope))
        toml = building / "connector.toml"
        toml.write_text(text, "utf-8", newline="\n")
        toml.chmod(0o600)
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    if verify.is_relative_to(building):
        verify = folder / verify.relative_to(building)
    here = verify.parent.parent.name == "server"
    out = ctx.out
    out.line(f"made {folder}: key id {bundle.kid}, scope {bundle.scope}")
    out.say(
        f"if the server runs on another machine, copy {verify} into its keys folder"
        if here
        else f"copy {verify} into the server's keys folder, then delete it here"
    )
    out.say("then restart the server: it reads its keys when it starts")
    return Answer(
        0,
        {
            "folder": str(folder),
            "kid": bundle.kid,
            "scope": str(bundle.scope),
            "server_file": str(verify),
            "server_side_here": here,
        },
    )


def show(ctx: Context) -> Answer:
    """List the key sets; keys themselves are never shown."""
    held = held_in(_account(ctx.args.account))
    ctx.out.table(
        ("KID", "SCOPE", "STATE", "FOLDER", "SERVER HAS IT"),
        [
            (one.kid, one.scope, one.state or "?", one.folder or "not here", one.server_has_it)
            for one in held
        ],
    )
    return Answer(0, {"keys": [one._asdict() for one in held]})

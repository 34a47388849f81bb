"""Key files as an operator, a thief or a careless copy leaves them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Final

import pytest

from bridge_core.protocol.messages import Hello
from bridge_core.protocol.operations import Op
from tests.acceptance.house import House, StageClient
from tests.acceptance.language import says
from tests.acceptance.world import World
from tests.support.running import wait_until

__all__ = ["FILE", "chmod", "file_of", "set_env"]

FILE: Final = "server|key set|connector|operator|trade"
_DAY_MS: Final = 86_400_000


def file_of(house: House, name: str) -> Path:
    """Return a key file: `server`, `key set` (what the server verifies by), or a bundle's."""
    keys = house.account.folder / "server" / "keys"
    if name == "server":
        return keys / "server.key"
    if name == "key set":
        return keys / f"{house.bundle('connector').kid}.key"
    return house.account.bundle(name) / "keys" / "connector.key"


def chmod(path: Path, mode: str) -> None:
    """Set a mode; a scenario about modes needs a system that has them."""
    if os.name != "posix":
        pytest.skip("platform: POSIX modes")
    path.chmod(int(mode, 8))


def set_env(world: World, name: str, value: str) -> None:
    """Set an environment variable until the scenario ends."""
    before = os.environ.get(name)
    os.environ[name] = value

    def restore() -> None:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before

    world.at_end(restore)


# --- key files ---------------------------------------------------------------------------------


@says(rf"the (?P<name>{FILE}) file has mode (?P<mode>0[0-7]{{3}})")
def has_mode(world: World, name: str, mode: str) -> None:
    """Change who may use a key file."""
    chmod(file_of(world.house, name), mode)


@says(r"the key folder has mode (?P<mode>0[0-7]{3})")
def folder_mode(world: World, mode: str) -> None:
    """Change who may use the folder of the server's keys."""
    chmod(file_of(world.house, "server").parent, mode)


@says(r"the keys come from \$CREDENTIALS_DIRECTORY with mode (?P<mode>0[0-7]{3})"
      r"(?:, in a folder of mode (?P<folder>0[0-7]{3}))?")  # fmt: skip
def credentials(world: World, mode: str, folder: str = "0700") -> None:
    """Move the server's keys to where a service manager puts them."""
    keys = file_of(world.house, "server").parent
    place = world.house.account.folder.parent / "credentials"
    shutil.copytree(keys, place)
    shutil.rmtree(keys)
    for path in place.iterdir():
        chmod(path, mode)
    chmod(place, folder)
    set_env(world, "CREDENTIALS_DIRECTORY", str(place))
    config = world.house.account.config
    config.write_text(f'keys = "{place}"\n{config.read_text("utf-8")}', "utf-8")


def _another_user(world: World, path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 65_534, 65_534)
        return
    real = os.geteuid
    vars(os)["geteuid"] = lambda: real() + 1
    world.at_end(lambda: vars(os).update(geteuid=real))


def _replaced_by(path: Path, thing: str, other: Path) -> None:
    text = path.read_text("utf-8")
    path.unlink()
    good = path.parent.with_name("elsewhere") / path.name
    good.parent.mkdir(mode=0o700, exist_ok=True)
    if thing == "a link to a good key file":
        good.write_text(text, "utf-8")
        good.chmod(0o600)
        path.symlink_to(good)
    elif thing == "a link to nothing":
        path.symlink_to(good)
    elif thing == "a named pipe":
        os.mkfifo(path, 0o600)
    elif thing == "a folder":
        path.mkdir(mode=0o700)
    elif thing != "missing":
        contents = {
            "empty": "",
            "cut in half": text[: len(text) // 2],
            "70000 bytes long": text + " " * 70_000,
            "not JSON": text.replace("{", "[", 1),
            "the file of another kind": other.read_text("utf-8"),
            "a file with one field more": text.replace("{", '{"insecure": true,', 1),
        }
        path.write_text(contents[thing], "utf-8")
        path.chmod(0o600)


@says(rf"the (?P<name>{FILE}) file is (?P<thing>.+)")
def file_is(world: World, name: str, thing: str) -> None:
    """Put something else in the place of a key file."""
    house = world.house
    path = file_of(house, name)
    world.notes["mend"] = (path, path.read_text("utf-8"))
    if thing == "a file of another user":
        _another_user(world, path)
        return
    other = file_of(house, "operator" if name in ("server", "key set") else "server")
    _replaced_by(path, thing, other)


@says(r"the server's key folder also holds (?P<twin>.+)")
def twin(world: World, twin: str) -> str:
    """Add a second verify file that claims what is another's."""
    house = world.house
    path = file_of(house, "key set")
    held = json.loads(path.read_text("utf-8"))
    other = json.loads(path.with_name(f"{house.bundle('trade').kid}.key").read_text("utf-8"))
    one_key = dict([*held["keys"].items()][:1])
    made = {
        "the same key id in a second file": {**other, "kid": held["kid"]},
        "the same keys under another key id": {**held, "kid": "t9-twin"},
        "one key of it in another set": {
            **other, "kid": "t9-twin", "keys": {**other["keys"], **one_key},
        },
        "the same CURVE identity under another key id": {
            **other, "kid": "t9-twin", "curve_public": held["curve_public"],
        },
    }[twin]  # fmt: skip
    # The file that lends the rest goes, so that only the claim itself is double.
    if twin != "the same keys under another key id" and not house.alive:
        path.with_name(f"{house.bundle('trade').kid}.key").unlink()
    second = path.with_name("t9-twin.key")
    second.write_text(json.dumps(made), "utf-8")
    second.chmod(0o600)
    return "written"


_DATES: Final = {
    "retiring until yesterday": ("retiring", -1), "active until yesterday": ("active", -1),
    "revoked": ("revoked", 0), "retiring without a date": ("retiring", 0),
    "revoked until tomorrow": ("revoked", 1), "retiring until tomorrow": ("retiring", 1),
    "active until tomorrow": ("active", 1),
}  # fmt: skip


def _date(house: House, path: Path, state: str) -> None:
    word, days = _DATES[state]
    held = json.loads(path.read_text("utf-8"))
    held["state"] = word
    held["not_after_ms"] = house.clock.wall_ms() + days * _DAY_MS if days else 0
    path.write_text(json.dumps(held), "utf-8")


@says(r"(?P<which>the trade|every) key set is (?P<state>(?:retiring|active|revoked).*)")
def key_set_is(world: World, which: str, state: str) -> None:
    """Give key sets a state and a date, as the operator writes it into the server's files."""
    house = world.house
    keys = file_of(house, "server").parent
    mine = f"{house.bundle('trade').kid}.key"
    for path in keys.glob("*.key"):
        if path.name != "server.key" and (which == "every" or path.name == mine):
            _date(house, path, state)


@says(r"the trade key says HELLO")
def trade_hello(world: World) -> str:
    """Knock with a key set that may be dead."""
    house = world.house
    endpoint = f"tcp://127.0.0.1:{house.account.port}"
    client = StageClient(house.bundle("trade"), endpoint, house)
    world.at_end(client.close)
    before = house.client().health().counters.get("dropped_key", 0)
    body = Hello(client="raw", version="1", sent=house.clock.true_ms())
    client.send(client.sign(Op.HELLO, body))

    def dropped() -> bool:
        return house.client().health().counters.get("dropped_key", 0) > before

    wait_until(dropped)
    return "no answer" if client.receive(0) is None else "OK"

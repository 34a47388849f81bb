"""Configurations that an operator might spoil, and what a start says to them."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
from pathlib import Path

from bridge_client import Connector
from bridge_core.host.settings import load_env
from bridge_core.protocol.errors import BridgeError
from tests.acceptance.house import House
from tests.acceptance.language import says
from tests.acceptance.steps_keyfiles import FILE, chmod, file_of, set_env
from tests.acceptance.world import World

__all__ = ["put_connector_right"]

# --- starting ----------------------------------------------------------------------------------


@says(r"a new account")
def new_account(world: World) -> None:
    """Make an account's folder, with everything in order; nothing runs yet."""
    world.fresh()


def _refused(world: World, error: BridgeError) -> str:
    world.notes["said"] = f"{error.code}: {error.detail}"
    return f"refuses to start: {error.code}"


@says(r"start the server")
def start(world: World) -> str:
    """Start it anew; say its state, or the code of what keeps it from starting."""
    house = world.house
    house.stop()
    try:
        house.start()
    except BridgeError as error:
        return _refused(world, error)
    return house.ready().hello().state


@says(r"what reads (?P<what>.+) starts")
def reader_starts(world: World, what: str) -> str:
    """Start the server or open the connector, whichever reads this file."""
    if what not in ("connector", "connector.toml"):
        return start(world) or ""
    try:
        with Connector.from_config(world.house.account.bundle(), client="scenario"):
            return "opens"
    except BridgeError as error:
        return _refused(world, error)


@says(r"the refusal says (?P<text>.+)")
def refusal_says(world: World, text: str) -> str:
    """Look for words in what was said last."""
    said = str(world.notes.get("said", ""))
    return "yes" if text in said else f"no: {said}"


# --- configuration -----------------------------------------------------------------------------


def put_connector_right(house: House) -> Path:
    """Point connector.toml at the house's server, and return it."""
    path = house.account.bundle() / "connector.toml"
    text = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{house.account.port}", path.read_text("utf-8"))
    path.write_text(text, "utf-8")
    return path


def _config(world: World, name: str) -> Path:
    house = world.house
    return house.account.config if name == "server.toml" else put_connector_right(house)


@says(r"(?P<file>server\.toml|connector\.toml) also says (?P<line>.+)")
def also_says(world: World, file: str, line: str) -> None:
    """Add a line at the top."""
    path = _config(world, file)
    path.write_text(f"{line}\n{path.read_text('utf-8')}", "utf-8")


@says(r"server\.toml says (?P<line>.+)")
def instead_says(world: World, line: str) -> None:
    """Replace the line, or the table, of the same key."""
    path = world.house.account.config
    key = line.split(" = ", maxsplit=1)[0]
    kept = [one for one in path.read_text("utf-8").splitlines() if not one.startswith(f"{key} =")]
    if key == "limits":
        kept = _without_limits(kept)
    path.write_text("\n".join([line, *kept]) + "\n", "utf-8")


def _without_limits(lines: list[str]) -> list[str]:
    kept, inside = [], False
    for one in lines:
        inside = one.startswith("[limits") or (inside and not one.startswith("["))
        if not inside:
            kept.append(one)
    return kept


@says(r"server\.toml has no limits for EURUSD")
def no_limits(world: World) -> None:
    """Leave an allowed symbol without limits."""
    instead_says(world, "limits = {}")


@says(r"limits\.EURUSD in server\.toml also says (?P<line>.+)")
def limit_also(world: World, line: str) -> None:
    """Add a line to the symbol's limits."""
    path = world.house.account.config
    text = path.read_text("utf-8")
    assert "[limits.EURUSD]" in text
    path.write_text(re.sub(r"(\[limits\.EURUSD\].*\n)", rf"\g<1>{line}\n", text), "utf-8")


@says(r"server\.toml lacks (?P<key>max_\w+) for EURUSD")
def lacks(world: World, key: str) -> None:
    """Take one limit away."""
    path = world.house.account.config
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(one for one in lines if not one.startswith(key)) + "\n", "utf-8")


# --- 244 ---------------------------------------------------------------------------------------


@says(r"a file \.env says (?P<name>[A-Z0-9_]+)=(?P<value>.+)")
def env_says(world: World, name: str, value: str) -> str:
    """Read one value through the only door for such files."""
    path = world.stage.place() / ".env"
    path.write_text(f"{name}={value}\n", "utf-8")
    path.chmod(0o600)
    path.parent.chmod(0o700)
    set_env(world, "A", "interpolated")
    return f"read as {load_env(path, [name])[name]}"


# --- 253 ---------------------------------------------------------------------------------------


def _left(house: House) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(house.account.state.iterdir())
        if stat.S_ISREG(path.stat().st_mode) and path.name != "reserve"
    }


@says(r"what the server left is noted after its end")
def note_left(world: World) -> None:
    """Stop it and remember each file of its state, byte for byte."""
    world.house.stop()
    world.notes["left"] = _left(world.house)


@says(r"what the server left")
def what_left(world: World) -> str:
    """Compare with what was noted."""
    now = _left(world.house)
    assert now, "it left nothing"
    return "unchanged" if now == world.notes["left"] else f"changed: {now}"


@says(r"server\.toml (?P<how>misspells a limit|is not TOML|is gone|sets a limit of 0)")
def spoil_config(world: World, how: str) -> None:
    """Spoil the configuration of a server that may be running."""
    path = world.house.account.config
    text = path.read_text("utf-8")
    world.notes["mend"] = (path, text)
    if how == "is gone":
        path.unlink()
        return
    spoiled = {
        "misspells a limit": text.replace("max_volume", "max_volumes"),
        "is not TOML": f"{text}\n[[[",
        "sets a limit of 0": re.sub(r"max_volume = \S+", "max_volume = 0", text),
    }[how]
    assert spoiled != text
    path.write_text(spoiled, "utf-8")


@says(rf"the (?P<name>{FILE}) file can be read by others")
def spoil_mode(world: World, name: str) -> None:
    """Open a key file while its server runs."""
    path = file_of(world.house, name)
    world.notes["mend"] = (path, path.read_text("utf-8"))
    chmod(path, "0644")


@says(r"every key set is gone")
def spoil_all(world: World) -> None:
    """Take away what the server verifies by while it runs."""
    keys = file_of(world.house, "server").parent
    aside = keys.parent / "aside"
    aside.mkdir(mode=0o700)
    for path in keys.glob("*.key"):
        if path.name != "server.key":
            shutil.move(path, aside / path.name)
    world.notes["mend"] = (aside, "")


@says(r"what was spoiled is mended")
def mend(world: World) -> None:
    """Put the file back as it was."""
    found = world.notes["mend"]
    assert isinstance(found, tuple)
    path, text = found
    if path.is_dir():
        for one in path.iterdir():
            shutil.move(one, path.parent / "keys" / one.name)
        return
    path.write_text(text, "utf-8")
    if path.suffix == ".key":
        path.chmod(0o600)

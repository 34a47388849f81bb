"""Commands as a user types them, environments, and the search for keys in all that they leave."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import secrets
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from msgspec.structs import replace
from zmq.utils import z85

from bridge_client.cli.main import main as ztb
from bridge_core.host.bundles import EventRoot, load_bundle, load_server_keys
from bridge_core.host.keyfiles import load_key_file
from bridge_core.host.logs import setup_logging
from bridge_core.host.sockets import new_curve_keys
from bridge_core.protocol.messages import Resume, encode_body
from bridge_core.protocol.operations import Op, Purpose
from bridge_core.protocol.signing import Frames, RequestKeys, sign_request
from bridge_server.cli import main as ztb_server
from tests.acceptance.house import StageClient
from tests.acceptance.language import says
from tests.acceptance.steps_config import put_connector_right
from tests.acceptance.steps_keyfiles import file_of, set_env
from tests.acceptance.world import World
from tests.support.canary import Needles, keys_in
from tests.support.command_line import run_process
from tests.support.raw_client import open_body
from tests.support.running import ROOT, Account, Process
from tests.support.scripted_backend import raises

__all__ = ["OwnProcess", "run_words", "run_ztb"]

Places = Iterable[tuple[str, bytes]]


def hits(folder: Path, places: Places) -> list[str]:
    """Return the names of the places in which any form of any key of an account was found."""
    held = {key for path in folder.rglob("*.key") for key in keys_in(path)}
    assert len(held) > 20, "the account has more keys than that"
    needles = Needles(held)
    return [name for name, data in places if needles.find(data)]


_WHO: Final = "connector|operator|query|reduce|trade"


class OwnProcess(Process):
    """`ztb-server run` with a working folder, a log level and files that keep all it says."""

    def __init__(self, account: Account, *, cwd: Path = ROOT, debug: bool = False) -> None:
        self.account = account
        self.said: tuple[IO[bytes], IO[bytes]] = (
            (account.folder / "stdout").open("w+b"), (account.folder / "stderr").open("w+b"),
        )  # fmt: skip
        words = ["run", "--config", str(account.config), *(["--debug"] if debug else [])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bridge_server", *words], cwd=cwd, text=True,
            stdout=self.said[0], stderr=self.said[1],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self._clients = []
        self.stderr = ""

    def finish(self, seconds: float = 15.0) -> str:
        """Wait for its end."""
        self._process.wait(seconds)
        for file in self.said:
            file.close()
        return ""


@says(r"the server starts as a process")
def start_process(world: World) -> str:
    """Start it as `ztb-server run` does, in this environment and folder."""
    house = world.house
    house.paper = True
    cwd = world.notes.get("cwd", ROOT)
    assert isinstance(cwd, Path)
    house.process = OwnProcess(house.account, cwd=cwd)
    return house.ready().hello().state


# --- commands ----------------------------------------------------------------------------------


def run_words(world: World, words: list[str]) -> str:
    """Run a command in this process; say its exit code, and the error's code if it is JSON."""
    out, err = io.StringIO(), io.StringIO()
    program = {"ztb": ztb, "ztb-server": ztb_server}[words[0]]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = program(words[1:])
        except SystemExit as end:
            code = int(end.code or 0)
    world.notes["said"] = out.getvalue() + err.getvalue()
    _keep(world, " ".join(words), str(world.notes["said"]).encode())
    named = ""
    with contextlib.suppress(ValueError):
        named = json.loads(out.getvalue()).get("error", {}).get("code", "")
    return f"exit {code} {named}".strip()


@says(r"run `(?P<words>[^`]+)`")
def run(world: World, words: str) -> str:
    """Run a command with exactly these words."""
    return run_words(world, shlex.split(words))


@says(rf"the (?P<who>{_WHO}) runs `(?P<words>ztb [^`]+)`")
def runs(world: World, who: str, words: str) -> str:
    """Run `ztb` with a bundle's configuration; what it says is JSON."""
    return run_ztb(world, who, words, "--json")


def run_ztb(world: World, who: str, words: str, *more: str) -> str:
    """Run `ztb` in this process with a bundle's configuration, and keep what it says."""
    put_connector_right(world.house)
    config = world.house.account.bundle(who) / "connector.toml"
    return run_words(world, [*shlex.split(words), *more, "--config", str(config)])


@says(r"the screen shows (?P<text>.+)")
def screen_shows(world: World, text: str) -> str:
    """Look for words in what the last command said."""
    return "yes" if text in str(world.notes.get("said", "")) else "no"


@says(r"the working folder's `ztb (?P<words>[^`]+)`")
def in_working_folder(world: World, words: str) -> str:
    """Run `ztb` as a process of its own in the working folder."""
    cwd = world.notes["cwd"]
    assert isinstance(cwd, Path)
    ended = run_process(*shlex.split(words), "--json", cwd=cwd)
    return f"exit {ended.code} {ended.json['error']['code']}"


# --- environments ------------------------------------------------------------------------------


@says(r"the environment says (?P<name>[A-Z_0-9]+) = (?P<value>\S+)")
def environment(world: World, name: str, value: str) -> None:
    """Set a variable."""
    set_env(world, name, value)


@says(r"the environment holds the connector's key as (?P<name>[A-Z_0-9]+)")
def environment_key(world: World, name: str) -> None:
    """Put the root key where many programs look for one."""
    set_env(world, name, world.house.bundle("connector").root)


@says(r"a file \.env in (?P<place>.+) names another configuration, and anybody may read it")
def stray_env(world: World, place: str) -> None:
    """Put a file there that would change much, or stop the start, if anybody read it."""
    folder = world.house.account.folder
    work = folder.parent / "work" / "here"
    work.mkdir(parents=True)
    world.notes["cwd"] = work
    where = {
        "the working folder": work, "the folder above it": work.parent,
        "the account's folder": folder, "the server's folder": folder / "server",
    }[place]  # fmt: skip
    config = put_connector_right(world.house)
    text = f"ZTB_CONFIG={config}\nport=1\nMT5_PASSWORD\n"
    (where / ".env").write_text(text, "utf-8")
    (where / ".env").chmod(0o666)


@says(r"a forged order")
def forged(world: World) -> str:
    """Sign an order with a random key."""
    client = world.client()
    frames = _forged(client)
    return "no answer" if client.silent(frames) else "answered"


def _forged(client: StageClient) -> Frames:
    key = RequestKeys(secrets.token_bytes(32), Purpose.ORDER_SRV)
    return sign_request(client.token(Op.OPEN), encode_body(open_body()), key)


@says(r"a stranger's CURVE key")
def stranger(world: World) -> str:
    """Knock with a true bundle under a CURVE key that the server does not know."""
    pair = new_curve_keys()
    bundle = world.house.bundle("connector")
    theirs = replace(bundle, curve_public=pair.public.decode(), curve_secret=pair.secret.decode())
    endpoint = f"tcp://127.0.0.1:{world.house.account.port}"
    client = StageClient(bundle, endpoint, world.house, curve=theirs)
    world.at_end(client.close)
    try:
        client.send(client.sign(Op.OPEN, open_body()), patience_s=0.3)
    except TimeoutError:
        return "no connection"
    return "sent"


# --- 245 to 247: canaries ------------------------------------------------------------------------


def _keep(world: World, name: str, data: bytes) -> None:
    kept = world.notes.setdefault("kept", [])
    assert isinstance(kept, list)
    kept.append((name, data))


@says(r"a server process at log level (?P<level>info|debug)")
def loud_process(world: World, level: str) -> str:
    """Run the server with all that it says kept in files."""
    house = world.fresh(paper=True)
    house.process = OwnProcess(house.account, debug=level == "debug")
    return house.ready().hello().state


@says(r"a fresh server at log level debug")
def loud_server(world: World) -> str:
    """Run the server in this process, with DEBUG records in its log."""
    house = world.fresh()
    house.ready()
    setup_logging("ztb-server", file=house.account.folder / "server/log/server.log", debug=True)
    return "ACTIVE"


_DAY: Final = (
    "ztb ping", "ztb health", "ztb doctor", "ztb keys list --account ACCOUNT", "ztb positions",
    "ztb order buy EURUSD 0.01 --yes", "ztb order buy EURUSD 50 --yes", "ztb audit verify",
    "ztb order buy NOSUCH 0.01 --yes", "ztb limits", "ztb status nothing", "ztb explain",
)  # fmt: skip


@says(r"a day of orders, forgeries and mistakes")
def a_day(world: World) -> str:
    """Do much of what can be done, rightly and wrongly, and keep what was said."""
    house = world.house
    client = world.client()
    client.open()
    client.open(volume="77")
    for _ in range(20):
        client.send(_forged(client))
        client.send_parts(b"", b"ZTB5", secrets.token_bytes(40), b"{}")
        client.do(Op.OPEN, b'{"not":"a body"}')
    client.stop(Op.HALT)
    operator = world.client("operator")
    operator.do(Op.RESUME, Resume(cause="OPERATOR", reason="over"))
    stranger(world)
    for words in _DAY:
        runs(world, "connector", words.replace("ACCOUNT", str(house.account.folder)))
    path = file_of(house, "connector")
    good = path.read_text("utf-8")
    for bad in (good[: len(good) // 2], good.replace('"kid"', '"kidd"'), good.replace("{", "[")):
        path.write_text(bad, "utf-8")
        assert runs(world, "connector", "ztb ping") == "exit 3 KEY_FILE"
    path.write_text(good, "utf-8")
    house.stop()
    for words in ("ztb-server doctor", "ztb-server audit", "ztb-server config"):
        run_words(world, [*words.split(), "--config", str(house.account.config)])
    return "over"


def _places(world: World) -> Iterator[tuple[str, bytes]]:
    kept = world.notes.get("kept", [])
    assert isinstance(kept, list)
    yield from kept
    folder = world.house.account.folder
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".key" and path.name != "reserve":
            yield str(path.relative_to(folder)), path.read_bytes()


def _count(found: list[str]) -> str:
    return f"{len(found)} hit{'' if len(found) == 1 else 's'} {' '.join(found)}".strip()


@says(r"everything said and written, searched for every key in every form")
def search_all(world: World) -> str:
    """Look into every output and file for every key of the account."""
    places = list(_places(world))
    names = {name.rpartition("/")[2] for name, _ in places}
    assert {"server.log", "journal.db", "ledger.jsonl", "stderr"} <= names, names
    return _count(hits(world.house.account.folder, places))


@says(r"a line with the server's key in hex, hidden among them")
def planted(world: World) -> str:
    """Prove that the search can find something."""
    held = load_server_keys(file_of(world.house, "server"))
    line = f"2026-01-01 INFO x key={held.event_srv.upper()}".encode()
    return _count(hits(world.house.account.folder, [*_places(world), ("line", line)]))


def _form(key: bytes, form: str) -> str:
    return {
        "raw": key.decode("latin-1"), "hex": key.hex(), "upper-case hex": key.hex().upper(),
        "base64": base64.b64encode(key).decode(), "Z85": z85.encode(key).decode(),
        "url-safe base64": base64.urlsafe_b64encode(key).decode(), "repr": repr(key),
    }[form]  # fmt: skip


@says(r"the broker's library fails, and its error quotes the event key in (?P<form>.+)")
def quoting_error(world: World, form: str) -> None:
    """Let a library say what it should not know."""
    house = world.house
    key = bytes.fromhex(load_server_keys(file_of(house, "server")).event_srv)
    house.broker.plan.append(raises(RuntimeError(f"cannot use {_form(key, form)}"), executed=False))
    world.ask(world.sign("lost", Op.OPEN, open_body()))
    rid = world.get("lost").rid
    client = house.client()
    client.status(rid=rid)
    house.running.server.context.log.error("an error quotes %s", _form(key, form))  # type: ignore[union-attr]


@says(r"the log, searched for every key in every form")
def search_log(world: World) -> str:
    """Look into the server's log."""
    log = world.house.account.log.encode("ascii")
    return _count(hits(world.house.account.folder, [("server.log", log)]))


@says(r"the log says (?P<text>.+)")
def log_says(world: World, text: str) -> str:
    """Look for words in the server's log."""
    return "yes" if text in world.house.account.log else "no"


@says(r"(?P<thing>.+) is printed, formatted and raised in an error with its locals")
def shown(world: World, thing: str) -> str:
    """Show an object in every way in which a careless line or a crash report would."""
    house = world.house
    bundle = load_bundle(file_of(house, "connector"))
    things: dict[str, Callable[[], object]] = {
        "the connector's bundle": lambda: bundle,
        "the server's keys": lambda: load_server_keys(file_of(house, "server")),
        "a key set": bundle.key_set,
        "the CURVE pair": bundle.curve,
        "the event root": lambda: load_key_file(
            house.account.folder / "operator" / "event.key", EventRoot
        ),
    }
    held = things[thing]()
    said = [repr(held), str(held), f"{held}", f"{held!r}", repr([held]), repr({"x": held})]
    try:
        _fail_with(held)
    except ValueError as error:
        said += traceback.format_exception(error)
        said += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return _count(hits(house.account.folder, [("shown", "\n".join(said).encode())]))


def _fail_with(held: object) -> None:
    raise ValueError(held)

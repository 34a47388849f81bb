"""The record and its journal: grown, edited, cut, put back, forked, and full."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from bridge_client import Connector
from bridge_core.host.sqlite import Connection, open_database, transaction
from bridge_core.protocol.chain import GENESIS
from bridge_core.protocol.operations import Op
from bridge_server.journal import Journal
from tests.acceptance.connectors import connector_of, journal_of, write_config
from tests.acceptance.house import House
from tests.acceptance.language import says
from tests.acceptance.long_journal import grow, rid_of
from tests.acceptance.steps_bytes import COUNT, times
from tests.acceptance.steps_flood import answers_to
from tests.acceptance.steps_secrets import run_words
from tests.acceptance.world import World, said_of
from tests.support.raw_client import open_body
from tests.support.running import wait_until

_MONTH_MS: Final = 2_592_000_000
_OTHER: Final = "another"


def _path(house: House) -> Path:
    return house.account.state / "journal.db"


# --- 128: a long journal -------------------------------------------------------------------------


@says(rf"a journal of {COUNT} old orders")
def long_journal(world: World, count: str, soak: str = "") -> None:
    """Make a journal as years leave it: the real tables, and a chain that holds."""
    house = world.fresh(paper=True)
    now_ms = house.clock.wall_ms()
    grow(_path(house), times(count, soak), now_ms - _MONTH_MS)
    # The oracles look at this scenario's own orders, and at the chain from here on.
    world._since_ms = now_ms - 1_000
    journal = Journal(_path(house))
    house._verified = journal.head
    house._hashes = {0: GENESIS, journal.head.size: journal.head.hash}
    journal.close()


@says(r"the server is ready within")
def ready_within(world: World) -> str:
    """Start it; the bound is the claim's own."""
    begun = time.monotonic()
    world.house.ready()
    took = time.monotonic() - begun
    return "5 s" if took < 5 else f"more than 5 s: {took:.1f} s"


@says(r"the status of old order (?P<number>\d+)")
def old_order(world: World, number: str) -> str:
    """Ask for one of them by its rid."""
    return said_of(world.client().status(rid=rid_of(int(number))).subject())


# --- 307: deeds ----------------------------------------------------------------------------------


@says(r"a record of (?P<count>\d+) orders")
def record_of(world: World, count: str) -> None:
    """Trade a little and stop."""
    house = world.fresh()
    client = house.ready()
    for _ in range(int(count)):
        assert client.open().status == "FILLED"
    house.stop()


def _swap(db: Connection, one: int, two: int) -> None:
    for old, new in ((one, -1), (two, one), (-1, two)):
        db.execute("UPDATE log SET n = ? WHERE n = ?", (new, old))


def _double(db: Connection, which: int) -> None:
    db.execute("UPDATE log SET n = -n - 1 WHERE n > ?", (which,))
    db.execute("UPDATE log SET n = -n WHERE n < 0")
    db.execute("INSERT INTO log SELECT n + 1, record, hash FROM log WHERE n = ?", (which,))


_STATEMENTS: Final = {
    "edits the state in record 4":
        "UPDATE log SET record = replace(CAST(record AS TEXT), 'state\":\"', 'state\":\"X') "
        "WHERE n = 4",
    "edits the time of record 5":
        "UPDATE log SET record = replace(CAST(record AS TEXT), '\"ts\":1', '\"ts\":2') WHERE n = 5",
    "zeroes the hash of record 6": "UPDATE log SET hash = zeroblob(32) WHERE n = 6",
    "deletes record 5": "DELETE FROM log WHERE n = 5",
    "deletes record 1": "DELETE FROM log WHERE n = 1",
    "deletes records 3 to 6": "DELETE FROM log WHERE n BETWEEN 3 AND 6",
    "moves record 2 to the end":
        "UPDATE log SET n = (SELECT max(n) + 1 FROM log) WHERE n = 2",
    "cuts record 4 in half":
        "UPDATE log SET record = substr(record, 1, length(record) / 2) WHERE n = 4",
    "empties record 4": "UPDATE log SET record = x'' WHERE n = 4",
    "adds a space to record 3": "UPDATE log SET record = record || ' ' WHERE n = 3",
}  # fmt: skip


def _deed(db: Connection, deed: str) -> None:
    if deed == "swaps records 3 and 4":
        _swap(db, 3, 4)
    elif deed == "doubles record 4":
        _double(db, 4)
    elif deed == "flips one bit of the hash of record 7":
        (old,) = db.execute("SELECT hash FROM log WHERE n = 7").fetchone()
        new = bytes([old[0] ^ 1]) + old[1:]
        db.execute("UPDATE log SET hash = ? WHERE n = 7", (new,))
    elif deed.startswith("cuts off the last"):
        count = int(deed.split()[4])
        db.execute("DELETE FROM log WHERE n > (SELECT max(n) FROM log) - ?", (count,))
    else:
        db.execute(_STATEMENTS[deed])


_DEEDS: Final = "|".join(
    (
        *_STATEMENTS, "swaps records 3 and 4", "doubles record 4",
        "flips one bit of the hash of record 7", r"cuts off the last \d+ records",
    )
)  # fmt: skip


@says(rf"somebody (?P<deed>{_DEEDS})")
def somebody(world: World, deed: str) -> None:
    """Change the journal of a stopped server with nothing but SQL."""
    house = world.house
    house.stop()
    world.notes["untouched"] = _path(house).read_bytes()
    with closing(open_database(_path(house), exclusive=True)) as db, transaction(db):
        before = db.execute("SELECT n, record, hash FROM log ORDER BY n").fetchall()
        _deed(db, deed)
        assert db.execute("SELECT n, record, hash FROM log ORDER BY n").fetchall() != before
    house.forget_history()


@says(r"what was done is undone")
def undone(world: World) -> None:
    """Put the untouched journal back, for the oracles would rightly object to the other one."""
    house = world.house
    house.stop()
    for path in house.account.state.glob("journal.db*"):
        path.unlink()
    untouched = world.notes["untouched"]
    assert isinstance(untouched, bytes)
    _path(house).write_bytes(untouched)
    _path(house).chmod(0o600)
    house.forget_history()


@says(r"the connector forgets nothing")
def forgets_nothing(world: World) -> None:
    """Let the connector's journal take in the newest head that it saw."""
    desk = connector_of(world)._desk
    assert desk is not None
    desk.resolver.flush()


@says(r"run the audit of the stopped server")
def stopped_audit(world: World) -> str:
    """Stop it, and let `ztb-server audit` recompute its record."""
    house = world.house
    house.stop()
    code = run_words(world, ["ztb-server", "audit", "--config", str(house.account.config)])
    return f"{code} {world.notes['said']}".strip()


@says(r"the record holds")
def record_holds(world: World) -> str:
    """Recompute the record of a server that runs, by stopping it for a moment."""
    said = stopped_audit(world) or ""
    world.house.ready()
    return "yes" if said.startswith("exit 0") else f"no: {said}"


@says(r"the record's numbers")
def numbers(world: World) -> str:
    """Read the record's numbers and times."""
    house = world.house
    house.stop()
    with closing(open_database(_path(house), exclusive=True)) as db:
        rows = db.execute("SELECT n, record FROM log ORDER BY n").fetchall()
    times = [json.loads(record)["ts"] for _, record in rows]
    world.notes["times"] = times
    rising = [n for n, _ in rows] == list(range(1, len(rows) + 1))
    return "rise by one from 1" if rising and len(rows) > 4 else f"{[n for n, _ in rows]}"


# --- 309, 310: journals that come and go ---------------------------------------------------------


@says(r"with the trade key, (?P<count>\d+) further orders are sent")
def further_orders(world: World, count: str) -> str:
    """Let the record grow by somebody else's orders."""
    client = world.house.client("trade")
    found = answers_to(client, [client.sign(Op.OPEN, open_body()) for _ in range(int(count))])
    return found[0] if len(set(found)) == 1 else f"{set(found)}"


@says(r"`ztb audit accept` is run with the (?P<who>connector's own|operator's) bundle")
def audit_accept(world: World, who: str) -> str:
    """Accept the record as it is now."""
    house = world.house
    folder = house.account.bundle("operator" if who == "operator's" else "connector")
    for name in ("connector", "operator"):
        _point(house, name)
    config = house.account.bundle() / "connector.toml"
    words = ["ztb", "audit", "accept", "--reason", "restored from a backup", "--yes"]
    return run_words(world, [*words, "--operator", str(folder), "--config", str(config)])


def _point(house: House, who: str) -> None:
    config = house.account.bundle(who) / "connector.toml"
    lines = [one for one in config.read_text("utf-8").splitlines() if not one.startswith("server")]
    first = f'server = "tcp://127.0.0.1:{house.account.port}"\n'
    config.write_text(first + "\n".join(lines) + "\n", "utf-8")


@says(r"the journal (?P<how>of this moment is set aside|that was set aside is put back)")
def set_aside(world: World, how: str) -> None:
    """Keep a second history, or show it again."""
    house = world.house
    house.stop()
    place = house.account.folder / "aside"
    if how.endswith("set aside"):
        place.mkdir()
        for path in house.account.state.glob("journal.db*"):
            shutil.copy2(path, place)
        return
    for path in house.account.state.glob("journal.db*"):
        path.unlink()
    for path in place.iterdir():
        shutil.copy2(path, house.account.state)
    house.forget_history()


def _other(world: World) -> Connector:
    found = world.notes.get(_OTHER)
    if found is None:
        config = write_config(world.house)
        found = Connector.from_config(config, client=_OTHER)
        world.at_end(found.close)
        world.notes[_OTHER] = found
        path = journal_of(config.parent).with_name(f"{_OTHER}.db")
        world.house.journals.append(path)
    assert isinstance(found, Connector)
    found.connect(10)
    return found


@says(r"another connector buys EURUSD 0\.01, (?P<count>\d+) times")
def other_buys(world: World, count: str) -> str:
    """Trade with a second connector, which has a journal of its own."""
    bridge = _other(world)
    wait_until(lambda: bridge.health().state == "ACTIVE", 10)
    results = [str(bridge.buy("EURUSD", "0.01")) for _ in range(int(count))]
    bridge.ping()
    return results[-1]


@says(r"another connector audits the record")
def other_audits(world: World) -> str:
    """Do now what its background does each minute."""
    bridge = _other(world)
    desk = bridge._desk
    assert desk is not None
    desk.resolver.witness()
    return " ".join(bridge.health().latches) or "none"


# --- 313: full disks -----------------------------------------------------------------------------


def _database(house: House) -> Connection:
    assert house.running is not None
    return house.running.server.context.journal._db


@says(r"the journal's disk is full to the last page")
def disk_full(world: World) -> None:
    """Let SQLite itself say SQLITE_FULL: the file may not grow any more."""
    house = world.house
    house.ready()
    database = _database(house)
    (used,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {used}")


@says(r"there is room on the journal's disk again")
def disk_room(world: World) -> None:
    """Let the file grow again."""
    _database(world.house).execute("PRAGMA max_page_count = 100000")


@says(r"orders are sent until one is refused")
def until_refused(world: World) -> str:
    """Send orders until the server takes no more."""
    client = world.client()
    for _ in range(500):
        answer = client.open()
        if answer.status == "DENIED":
            return f"{answer.status} {answer.code}"
    return "none was refused"


@says(r"every order that the broker began has its row and its record")
def rows_and_records(world: World) -> str:
    """Ask for each order that reached the broker, and look for its intent in the record."""
    house = world.house
    client = house.client()
    for begun in house.broker.ledger:
        seen = client.status(rid=begun.rid).subject()
        if seen.code == "NOT_SEEN":
            return f"no row for {begun.rid}"
    (count,) = (
        _database(house)
        .execute("SELECT count(*) FROM log WHERE CAST(record AS TEXT) LIKE '%DISPATCHING%'")
        .fetchone()
    )
    begun_count = len(house.broker.ledger)
    return "yes" if count >= begun_count else f"{begun_count} begun, {count} intents"


@says(r"the state loses (?P<cause>[A-Z_]+)")
def state_loses(world: World, cause: str) -> str:
    """Wait until a condition ends by itself."""
    client = world.client()
    wait_until(lambda: cause not in [one.cause for one in client.hello().causes], 10)
    found = client.hello()
    return " ".join([found.state, *(one.cause for one in found.causes)])


@says(r"the text log's disk is full")
def log_disk_full(world: World) -> None:
    """Put the server's text log where every write fails for want of room."""
    log = world.house.account.folder / "server" / "log" / "server.log"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    log.symlink_to("/dev/full")

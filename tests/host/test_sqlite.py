"""The journal's door: durable settings, clear outcomes, one owner; real files and processes."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import pytest

from bridge_core.host.sqlite import (
    Connection,
    IntegrityError,
    JournalBusy,
    JournalFatal,
    JournalFull,
    journal_errors,
    open_database,
    transaction,
)
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.limits import SQLITE_BUSY_MS

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX modes and limits")

OPEN_AND_WAIT = """
import sys
from pathlib import Path
from bridge_core.host.sqlite import open_database, transaction
db = open_database(Path(sys.argv[1]), exclusive=sys.argv[2] == "yes")
with transaction(db):
    db.execute("CREATE TABLE IF NOT EXISTS t (x)")
    db.execute("INSERT INTO t VALUES (7)")
db.execute("BEGIN IMMEDIATE")
db.execute("INSERT INTO t VALUES (8)")
print("ready", flush=True)
sys.stdin.read()
"""

WRITE_PAST_THE_LIMIT = """
import resource, sys
from pathlib import Path
from bridge_core.host.sqlite import JournalFatal, open_database, transaction
db = open_database(Path(sys.argv[1]), exclusive=True)
with transaction(db):
    db.execute("CREATE TABLE t (x)")
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    for _ in range(100):
        with transaction(db):
            db.execute("INSERT INTO t VALUES (randomblob(3000))")
except JournalFatal as error:
    print(error.code)
"""


@contextmanager
def other_process(script: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run `script` until its first line is out; killed at the end, as a power cut would."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *args],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def db(path: Path) -> Iterator[Connection]:
    with closing(open_database(path, exclusive=True)) as connection:
        connection.execute("CREATE TABLE t (x INTEGER UNIQUE)")
        yield connection


def count(connection: Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


# --- opening -------------------------------------------------------------------------------


@pytest.mark.parametrize("exclusive", [True, False])
def test_every_durable_setting_holds(path: Path, exclusive: bool) -> None:
    with closing(open_database(path, exclusive=exclusive)) as connection:

        def read(name: str) -> object:
            return connection.execute(f"PRAGMA {name}").fetchone()[0]

        assert read("journal_mode") == "wal"
        assert read("synchronous") == 2
        assert read("locking_mode") == ("exclusive" if exclusive else "normal")
        assert read("foreign_keys") == 1
        assert read("trusted_schema") == 0
        assert read("busy_timeout") == SQLITE_BUSY_MS
        assert connection.isolation_level is None


@posix
def test_the_files_are_for_their_owner_only_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(open_database(path, exclusive=False)) as connection:
            connection.execute("CREATE TABLE t (x)")
            modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
            assert len(list(path.parent.iterdir())) == 3
    finally:
        os.umask(before)
    assert modes == {0o600}


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_journal_in_memory_is_refused(exclusive: bool) -> None:
    with pytest.raises(ConfigError) as caught:
        open_database(Path(":memory:"), exclusive=exclusive)
    assert caught.value.code == "JOURNAL_NOT_DURABLE"
    assert not Path(":memory:").exists()


def test_a_setting_that_does_not_hold_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file system without WAL answers the pragma with the mode it stays in.
    class Stubborn(sqlite3.Connection):
        def execute(self, sql: str, *args: object) -> sqlite3.Cursor:
            return super().execute(sql.replace("journal_mode = wal", "journal_mode = delete"))

    plain = sqlite3.connect

    def connect(database: Path, **options: object) -> Connection:
        return cast("Connection", plain(database, factory=Stubborn, **options))  # type: ignore[call-overload]

    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(ConfigError, match="journal_mode stays delete") as caught:
        open_database(path, exclusive=True)
    assert caught.value.code == "JOURNAL_NOT_DURABLE"


def test_a_missing_folder_a_folder_and_a_link_are_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "elsewhere.db")
    links = [link] if link.is_symlink() else []  # wine 8.0 makes none and does not say so
    for wrong in (tmp_path / "none" / "j.db", tmp_path, *links):
        with pytest.raises(ConfigError) as caught:
            open_database(wrong, exclusive=True)
        assert caught.value.code == "JOURNAL_NOT_DURABLE"
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize("data", [b"garbage " * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_refused_and_left_as_it_is(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        open_database(path, exclusive=True)
    assert caught.value.code == "JOURNAL_DAMAGED"
    assert path.read_bytes() == data


@pytest.mark.parametrize("second", [True, False])
def test_an_exclusive_journal_is_held_before_its_first_write(
    path: Path, second: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_core.host.sqlite.SQLITE_BUSY_MS", 100)
    with closing(open_database(path, exclusive=True)):
        with pytest.raises(ConfigError) as caught:
            open_database(path, exclusive=second)
        assert caught.value.code == "JOURNAL_IN_USE"
    open_database(path, exclusive=second).close()


def test_an_open_shared_journal_cannot_be_taken_exclusively(path: Path) -> None:
    with closing(open_database(path, exclusive=False)), pytest.raises(ConfigError) as caught:
        open_database(path, exclusive=True)
    assert caught.value.code == "JOURNAL_IN_USE"


def test_a_journal_of_another_process_is_refused_at_once_and_free_once_it_is_killed(
    path: Path,
) -> None:
    with other_process(OPEN_AND_WAIT, str(path), "yes") as process:
        began = time.monotonic()
        with pytest.raises(ConfigError) as caught:
            open_database(path, exclusive=True)
        assert caught.value.code == "JOURNAL_IN_USE"
        assert time.monotonic() - began < 2
        process.kill()
        process.wait()
        with closing(open_database(path, exclusive=True)) as connection:
            # The commit survived the kill; what was not committed did not.
            assert connection.execute("SELECT x FROM t").fetchall() == [(7,)]


def test_the_connection_may_move_to_its_owners_thread(db: Connection) -> None:
    def work() -> None:
        with transaction(db):
            db.execute("INSERT INTO t VALUES (1)")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert count(db) == 1


# --- transactions --------------------------------------------------------------------------


def test_a_transaction_commits_all_of_it(db: Connection, path: Path) -> None:
    with transaction(db):
        db.execute("INSERT INTO t VALUES (1)")
        db.execute("INSERT INTO t VALUES (2)")
    assert not db.in_transaction
    db.close()
    with closing(open_database(path, exclusive=True)) as again:
        assert count(again) == 2


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_any_exception_rolls_all_of_it_back(db: Connection, error: BaseException) -> None:
    def work() -> None:
        with transaction(db):
            db.execute("INSERT INTO t VALUES (1)")
            raise error

    with pytest.raises(type(error)):
        work()
    assert count(db) == 0
    assert not db.in_transaction


def test_a_broken_constraint_stays_what_it_is(db: Connection) -> None:
    with pytest.raises(IntegrityError), transaction(db):
        db.executemany("INSERT INTO t VALUES (?)", [(1,), (1,)])
    assert count(db) == 0


def test_a_transaction_inside_another_is_a_mistake_that_leaves_the_outer_one_alone(
    db: Connection,
) -> None:
    with transaction(db):
        db.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(sqlite3.OperationalError), transaction(db):
            pass
    assert count(db) == 1


def test_a_full_disk_is_full_and_nothing_happened(db: Connection) -> None:
    db.execute("CREATE TABLE big (x)")
    db.execute("PRAGMA max_page_count = 20")

    def work() -> None:
        with transaction(db):
            db.execute("INSERT INTO t VALUES (1)")
            db.executemany("INSERT INTO big VALUES (zeroblob(?))", [(4_000,)] * 100)

    with pytest.raises(JournalFull) as caught:
        work()
    assert caught.value.code == "JOURNAL_FULL"
    assert count(db) == 0
    db.execute("PRAGMA max_page_count = 1000")
    with transaction(db):
        db.execute("INSERT INTO t VALUES (1)")
    assert count(db) == 1


def test_a_locked_shared_journal_is_busy_and_nothing_happened(path: Path) -> None:
    with (
        closing(open_database(path, exclusive=False)) as one,
        closing(open_database(path, exclusive=False)) as two,
    ):
        one.execute("CREATE TABLE t (x)")
        two.execute("PRAGMA busy_timeout = 20")
        with transaction(one):
            with pytest.raises(JournalBusy) as caught, transaction(two):
                two.execute("INSERT INTO t VALUES (1)")
            assert caught.value.code == "JOURNAL_BUSY"
        assert count(two) == 0


@posix
def test_a_failing_write_is_fatal(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITE_PAST_THE_LIMIT, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout == "JOURNAL_FATAL\n"


class Scripted:
    """A connection whose COMMIT or ROLLBACK fails with a given sqlite code."""

    def __init__(self, statement: str, code: int) -> None:
        self.statement = statement
        self.code = code
        self.in_transaction = False
        self.seen: list[str] = []

    def execute(self, sql: str) -> None:
        self.seen.append(sql)
        if sql == self.statement:
            error = sqlite3.OperationalError("scripted")
            error.sqlite_errorcode = self.code
            error.sqlite_errorname = "SQLITE_SCRIPTED"
            raise error
        self.in_transaction = sql.startswith("BEGIN")


@pytest.mark.parametrize(
    ("code", "kind", "rolls_back"),
    [
        (sqlite3.SQLITE_FULL, JournalFull, True),
        (sqlite3.SQLITE_BUSY, JournalBusy, True),
        (sqlite3.SQLITE_IOERR_FSYNC, JournalFatal, False),
        (sqlite3.SQLITE_IOERR_WRITE, JournalFatal, False),
        (sqlite3.SQLITE_CORRUPT, JournalFatal, False),
        (sqlite3.SQLITE_NOMEM, JournalFatal, False),
        (sqlite3.SQLITE_CONSTRAINT, JournalFatal, False),
        (sqlite3.SQLITE_ERROR, JournalFatal, False),
    ],
)
def test_a_commit_that_fails_is_fatal_unless_it_surely_did_nothing(
    code: int, kind: type[Exception], rolls_back: bool
) -> None:
    scripted = Scripted("COMMIT", code)
    with pytest.raises(kind), transaction(cast("Connection", scripted)):
        pass
    assert ("ROLLBACK" in scripted.seen) is rolls_back


def test_a_rollback_that_fails_is_fatal() -> None:
    scripted = Scripted("ROLLBACK", sqlite3.SQLITE_IOERR)
    with pytest.raises(JournalFatal), transaction(cast("Connection", scripted)):
        raise ValueError("x")


def test_an_error_of_the_module_itself_in_a_commit_is_fatal(db: Connection) -> None:
    with pytest.raises(JournalFatal), transaction(db):
        db.close()


def test_statements_outside_a_transaction_are_translated_too(db: Connection) -> None:
    db.execute("PRAGMA max_page_count = 5")
    with pytest.raises(JournalFull), journal_errors():
        db.execute("INSERT INTO t VALUES (zeroblob(100000))")

"""What lies beside the journal: copies made before an upgrade, and the reserve."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge_core.host.sqlite import Connection, Reserve, copy_aside, open_database, transaction
from bridge_core.protocol.limits import JOURNAL_RESERVE_BYTES

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX modes and limits")


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


def test_a_copy_is_whole_private_and_never_overwrites_an_earlier_one(
    db: Connection, path: Path
) -> None:
    with transaction(db):
        db.execute("INSERT INTO t VALUES (1)")
    first = copy_aside(path, ".v1", source=db)
    with transaction(db):
        db.execute("INSERT INTO t VALUES (2)")
    second = copy_aside(path, ".v1", source=db)
    assert [first.name, second.name] == ["journal.db.v1", "journal.db.v1-2"]
    assert sorted(file.name for file in path.parent.glob("*.v1*")) == [first.name, second.name]
    for copy, rows in ((first, 1), (second, 2)):
        with closing(sqlite3.connect(copy)) as connection:
            assert count(connection) == rows
        assert sys.platform == "win32" or stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_copy_can_be_made_of_a_journal_nobody_has_open(db: Connection, path: Path) -> None:
    db.execute("INSERT INTO t VALUES (1)")
    db.close()
    with closing(sqlite3.connect(copy_aside(path, ".old"))) as copy:
        assert count(copy) == 1


def test_the_reserve_is_really_written_and_given_back(path: Path) -> None:
    reserve = Reserve(path)
    assert not reserve.exists
    reserve.ensure()
    assert Reserve(path).exists
    assert reserve.path == path.with_name("reserve")
    info = reserve.path.stat()
    assert info.st_size == JOURNAL_RESERVE_BYTES
    if sys.platform != "win32":
        assert info.st_blocks * 512 >= JOURNAL_RESERVE_BYTES
        assert stat.S_IMODE(info.st_mode) == 0o600
    reserve.ensure()
    assert reserve.release()
    assert not Reserve(path).exists
    assert not reserve.release()


@posix
@pytest.mark.parametrize("size", [100, JOURNAL_RESERVE_BYTES])
def test_a_short_or_sparse_reserve_does_not_count(path: Path, size: int) -> None:
    reserve = Reserve(path)
    with reserve.path.open("wb") as file:
        file.truncate(size)
    assert not reserve.exists
    reserve.ensure()
    assert Reserve(path).exists


@posix
def test_a_reserve_without_room_is_full_and_leaves_nothing_behind(path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from bridge_core.host.sqlite import JournalFull, Reserve
resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
reserve = Reserve(Path(sys.argv[1]))
try:
    reserve.ensure()
except JournalFull as error:
    print(error.code, reserve.path.exists())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout == "JOURNAL_FULL False\n"

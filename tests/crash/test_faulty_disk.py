"""The faulty disk itself: what it is told comes true under SQLite, and no more than that."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.stage import Stage
from tests.support.faulty_disk import Action, Call, FaultyDisk, Rule, cut_power


def _committed(
    stage: Stage, folder: Path, *rules: Rule, synchronous: str = "FULL"
) -> tuple[list[str], FaultyDisk]:
    """Run a victim of three commits under these rules; kill it; return how each commit went."""
    if stage.no_faults:
        pytest.skip(stage.no_faults)
    disk = FaultyDisk.make(folder.parent / "victim.control", folder)
    disk.set(*rules)
    given = {"path": str(folder / "victim.db"), "control": str(disk.control),
             "history": str(disk.history), "synchronous": synchronous, "commits": 3}  # fmt: skip
    victim = stage.zygote.spawn("tests.support.disk_victim", given, folder.parent / "victim.err")
    with victim:
        went = victim.expect("done")["went"]
    return went, disk


def _rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "victim.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (count,) = connection.execute("SELECT count(*) FROM rows").fetchone()
        return int(count)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "disk"
    made.mkdir()
    return made


_WAL = "victim.db-wal"
_FAULTS = {
    "SQLITE_FULL": Rule(Call.WRITE, Action.FAIL, _WAL, errno.ENOSPC),
    "SQLITE_IOERR_WRITE": Rule(Call.WRITE, Action.FAIL, _WAL),
    "SQLITE_IOERR_WRITE torn": Rule(Call.WRITE, Action.FAIL_TORN, _WAL),
    "SQLITE_IOERR_FSYNC": Rule(Call.SYNC, Action.FAIL, _WAL),
}


@pytest.mark.parametrize("name", list(_FAULTS))
def test_a_fault_is_what_sqlite_itself_makes_of_it_and_hits_once(
    stage: Stage, folder: Path, name: str
) -> None:
    went, disk = _committed(stage, folder, _FAULTS[name])
    assert went == [name.split(maxsplit=1)[0], "OK", "OK"]
    assert disk.hits == 1
    assert _rows(folder) == 2


def test_a_rule_about_another_file_hits_nothing(stage: Stage, folder: Path) -> None:
    went, disk = _committed(stage, folder, Rule(Call.WRITE, Action.FAIL, "journal", times=-1))
    assert went == ["OK"] * 3
    assert disk.hits == 0
    assert disk.counts.writes > 0


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_a_power_cut_takes_nothing_that_was_synced(
    stage: Stage, folder: Path, seed: int | None
) -> None:
    went, disk = _committed(stage, folder)
    cut_power(disk.history, folder, seed=seed)
    assert went == ["OK"] * 3
    assert _rows(folder) == 3


def test_a_power_cut_takes_what_was_never_synced(stage: Stage, folder: Path) -> None:
    went, disk = _committed(stage, folder, synchronous="OFF")
    lost = cut_power(disk.history, folder)
    assert went == ["OK"] * 3
    assert lost > 0
    assert _rows(folder) == 0


def test_what_a_failed_sync_left_is_not_saved_by_the_next_one(stage: Stage, folder: Path) -> None:
    # The first commit's pages are marked clean; where the second rewrites them they are durable.
    went, disk = _committed(stage, folder, Rule(Call.SYNC, Action.FAIL, _WAL, skip=1))
    cut_power(disk.history, folder)
    assert went.count("OK") == 2
    assert _rows(folder) == 2

"""`ztb-server audit`: every edit of the record is noticed and its first index is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge_core.host.sqlite import open_database, transaction
from bridge_core.protocol.chain import ChainFault
from bridge_core.protocol.errors import ConfigError
from bridge_server.journal import Journal
from bridge_server.record import audit, verify_file
from tests.support.builders import row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a journal of ten records."""
    journal = Journal(tmp_path / "journal.db")
    with journal.transaction():
        for n in range(1, 11):
            journal.insert(row(f"{n:032x}"), "ORDER")
    journal.close()
    return journal.path


def _tamper(path: Path, statement: str) -> None:
    database = open_database(path, exclusive=True)
    with transaction(database):
        database.execute(statement)
    database.close()


def test_a_whole_record_holds_and_its_head_is_told(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(path, as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["holds"], said["size"]) == ("ztb.server.audit/1", True, 10)
    assert audit(path, as_json=False) == 0
    assert f"10 records hold, head {said['head'][:16]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE log SET record = replace(record, 'ACCEPTED', 'FILLED') WHERE n = 4", 4),
        ("UPDATE log SET hash = zeroblob(32) WHERE n = 7", 7),
        ("DELETE FROM log WHERE n = 5", 5),
        ("UPDATE log SET n = CASE n WHEN 2 THEN 102 ELSE n END", 2),
        ("DELETE FROM log WHERE n = 1", 1),
    ],
    ids=["edit", "hash", "delete", "reorder", "delete the first"],
)
def test_the_first_record_that_does_not_hold_is_named(
    path: Path, statement: str, first_bad: int, capsys: pytest.CaptureFixture[str]
) -> None:
    _tamper(path, statement)
    found = verify_file(path)
    assert isinstance(found, ChainFault)
    assert found.n == first_bad
    assert audit(path, as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["first_bad"] == first_bad
    assert audit(path, as_json=False) == 1
    assert f"record {first_bad} does not hold" in capsys.readouterr().out


def test_a_missing_journal_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        audit(tmp_path / "journal.db", as_json=True)
    assert caught.value.code == "JOURNAL"
    assert list(tmp_path.iterdir()) == []


def test_a_running_servers_journal_is_asked_for_another_way(path: Path) -> None:
    owner = Journal(path)
    with pytest.raises(ConfigError) as caught:
        audit(path, as_json=True)
    owner.close()
    assert caught.value.code == "JOURNAL_IN_USE"
    assert "ztb audit verify" in caught.value.detail


def test_an_audit_lets_go_of_the_journal(path: Path) -> None:
    verify_file(path)
    Journal(path).close()

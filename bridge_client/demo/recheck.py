"""The server's record, recomputed by `ztb-server audit`; and a copy with one bit flipped, found."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from bridge_client.demo.house import House
from bridge_client.demo.options import draw
from bridge_client.house import run_module
from bridge_core.host.sqlite import open_database
from bridge_core.protocol.errors import BridgeError

__all__ = ["RecordCheck", "check_record"]


class RecordCheck(Struct, frozen=True, kw_only=True):
    """`records` chain; `heads` of them were remembered by the connector, `agreeing` are the same.

    `flipped` is the record in which one bit of a copy was flipped, `found` where the audit said
    that the copy breaks (0: it said nothing).
    """

    records: int
    heads: int
    agreeing: int
    flipped: int
    found: int
    why: str = ""

    @property
    def kept(self) -> bool:
        """Whether the record holds, the connector saw the same one, and the edit was noticed."""
        return self.records > 0 and 0 < self.heads == self.agreeing and self.flipped == self.found


def check_record(house: House, seed: int) -> RecordCheck:
    """Audit the record of a stopped server and of a damaged copy.

    Raises:
        BridgeError: AUDIT: the audit could not be run.
    """
    whole = _audit(house.server_toml)
    copy = house.folder / "flipped"
    (copy / "state").mkdir(parents=True)
    shutil.copyfile(house.server_toml, copy / "server.toml")
    journal = copy / "state" / "journal.db"
    shutil.copyfile(house.server_journal, journal)
    heads, agreeing = _compare(journal, house.connector_journal)
    flipped = _flip(journal, seed)
    broken = _audit(copy / "server.toml")
    return RecordCheck(
        records=int(whole["size"]) if whole["holds"] else 0,
        heads=heads,
        agreeing=agreeing,
        flipped=flipped,
        found=0 if broken["holds"] else int(broken["first_bad"]),
        why="" if whole["holds"] else f"record {whole['first_bad']}: {whole['why']}",
    )


def _audit(config: Path) -> dict[str, int | str]:
    code, said, talk = run_module("bridge_server", "audit", "--config", str(config), "--json")
    try:
        facts: dict[str, int | str] = json.loads(said)
    except ValueError:
        facts = {}
    if code not in (0, 1) or "holds" not in facts:
        raise BridgeError("AUDIT", f"exit={code} said={talk.strip()[-200:]!r}")
    return facts


def _compare(journal: Path, connector: Path) -> tuple[int, int]:
    with closing(open_database(connector, exclusive=False)) as remembered:
        pairs = remembered.execute("SELECT size, hash FROM heads WHERE size > 0").fetchall()
    with closing(open_database(journal, exclusive=True)) as log:
        same = [
            log.execute("SELECT 1 FROM log WHERE n = ? AND hash = ?", pair).fetchone()
            for pair in pairs
        ]
    return len(pairs), sum(found is not None for found in same)


def _flip(journal: Path, seed: int) -> int:
    """Flip one bit of one record, in the file itself; return the record's number."""
    with closing(open_database(journal, exclusive=True)) as log:
        records = log.execute("SELECT n, record FROM log ORDER BY n").fetchall()
    raw = bytearray(journal.read_bytes())
    first = draw(seed, "record", len(records))
    for n, record in records[first:] + records[:first]:
        # Only a record that stands in the file once: an edit of a stale copy would prove nothing.
        if raw.count(record) == 1:
            bit = draw(seed, "bit", 8 * len(record))
            raw[raw.index(record) + bit // 8] ^= 1 << bit % 8
            journal.write_bytes(raw)
            return int(n)
    raise BridgeError("AUDIT", "why='no record stands in the file just once'")

"""`ztb-server audit`: recompute the hash chain of a journal, also one that a server has open."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bridge_core.protocol.chain import GENESIS, ChainFault, Head, verify_range
from bridge_core.protocol.errors import ConfigError
from bridge_server.journal import Journal

__all__ = ["audit", "verify_file"]

_PAGE = 5_000


def verify_file(path: Path) -> Head | ChainFault:
    """Return the head of a journal's log, or the first record that does not hold.

    Raises:
        ConfigError: there is no journal, it is damaged, or a running server owns it.
    """
    if not path.exists():
        raise ConfigError("JOURNAL", f"no journal at {path}: start the server once")
    journal = Journal(path)
    try:
        head: Head | ChainFault = Head(0, GENESIS)
        while isinstance(head, Head):
            rows = journal.log_rows(head.size + 1, _PAGE)
            if not rows:
                break
            head = verify_range(head, rows)
        return head
    finally:
        journal.close()


def audit(path: Path, *, as_json: bool) -> int:
    """Print the verdict on a journal's record; return 0 when every record holds."""
    try:
        found = verify_file(path)
    except ConfigError as error:
        if error.code == "JOURNAL_IN_USE":
            raise ConfigError(
                error.code,
                "a running server owns the journal: run `ztb audit verify` with a bundle, which "
                "asks the server for its record, or stop the server",
            ) from error
        raise
    if isinstance(found, ChainFault):
        facts: dict[str, object] = {"holds": False, "first_bad": found.n, "why": found.why}
        text = f"record {found.n} does not hold: {found.why}"
    else:
        facts = {"holds": True, "size": found.size, "head": found.hash.hex()}
        text = f"{found.size} records hold, head {found.hash.hex()[:16]}…"
    if as_json:
        print(json.dumps({"schema": "ztb.server.audit/1", **facts}))
    else:
        print(text, file=sys.stdout)
    return 0 if facts["holds"] else 1

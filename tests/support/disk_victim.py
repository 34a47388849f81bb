"""A process that does nothing but commit to a SQLite file, for the tests of the faulty disk."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from tests.support.faulty_disk import attach
from tests.support.zygote import Channel

__all__ = ["run"]


def run(given: dict[str, Any], channel: Channel) -> int:
    """Make the table, begin to obey the control file, commit row by row, tell how each went."""
    connection = sqlite3.connect(given["path"], isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("CREATE TABLE rows (n INTEGER)")
    attach(given["control"], given["history"])
    connection.execute(f"PRAGMA synchronous = {given['synchronous']}")
    went = []
    for n in range(given["commits"]):
        try:
            connection.execute("INSERT INTO rows VALUES (?)", (n,))
            went.append("OK")
        except sqlite3.OperationalError as error:
            went.append(error.sqlite_errorname)
    channel.say(word="done", went=went)
    time.sleep(60)
    return 0

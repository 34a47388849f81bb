"""SQLite as a journal needs it: durable settings read back, clear outcomes, one owner.

The journals and the paper store come through here; nobody else imports sqlite3.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection, IntegrityError, Row
from typing import Final

from bridge_core.host.filelock import FileLock
from bridge_core.host.keyfiles import sync_folder
from bridge_core.protocol.errors import BridgeError, ConfigError
from bridge_core.protocol.limits import JOURNAL_RESERVE_BYTES, SQLITE_BUSY_MS

__all__ = [
    "Connection", "FileLock", "IntegrityError", "JournalBusy", "JournalFatal", "JournalFull",
    "Reserve", "Row", "copy_aside", "journal_errors", "open_database", "transaction",
]  # fmt: skip

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_FATAL: Final = _DAMAGED | {
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERNAL,
}  # fmt: skip


class JournalFull(BridgeError):  # noqa: N818  # named after its code
    """The disk is full; the transaction did not happen."""


class JournalBusy(BridgeError):  # noqa: N818  # named after its code
    """Another process wrote for longer than the busy timeout; the transaction did not happen."""


class JournalFatal(BridgeError):  # noqa: N818  # named after its code
    """The disk failed, or nobody can tell whether a commit happened. Stop."""


# --- errors --------------------------------------------------------------------------------


def _primary(error: sqlite3.Error) -> int:
    """Return the primary result code; extended codes carry it in their low byte."""
    code = getattr(error, "sqlite_errorcode", None)  # absent if the module itself complains
    return code & 0xFF if isinstance(code, int) else sqlite3.SQLITE_ERROR


def _translate(error: sqlite3.Error, *, committing: bool = False) -> BridgeError | None:
    """Return the family's error, or None for a mistake in the SQL or a broken constraint."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    code = _primary(error)
    if code == sqlite3.SQLITE_FULL:
        return JournalFull("JOURNAL_FULL", f"sqlite={name}")
    if code in _BUSY:
        return JournalBusy("JOURNAL_BUSY", f"sqlite={name}")
    if code in _FATAL or committing:
        return JournalFatal("JOURNAL_FATAL", f"sqlite={name} committing={committing}")
    return None


class _JournalErrors:
    """Not a generator: every read and write goes through it."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: object
    ) -> None:
        """Translate what sqlite raised; everything else goes on as it is."""
        known = _translate(error) if isinstance(error, sqlite3.Error) else None
        if known is not None:
            raise known from error


_ERRORS: Final = _JournalErrors()


def journal_errors() -> _JournalErrors:
    """Translate sqlite's errors around statements outside a transaction.

    Raises:
        JournalFull: the disk is full.
        JournalBusy: locked by another process for SQLITE_BUSY_MS.
        JournalFatal: an I/O error or damage. A constraint stays `IntegrityError`.
    """
    return _ERRORS


@contextmanager
def transaction(connection: Connection) -> Iterator[Connection]:
    """Run the block between BEGIN IMMEDIATE and COMMIT; any exception in it rolls back.

    Raises:
        JournalFull: nothing happened, the disk is full.
        JournalBusy: nothing happened, another process holds the write lock.
        JournalFatal: an I/O error, or a COMMIT whose outcome is unclear.
    """
    with journal_errors():
        connection.execute("BEGIN IMMEDIATE")
    try:
        with journal_errors():
            yield connection
    except BaseException:
        _roll_back(connection)
        raise
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        known = _translate(error, committing=True)
        assert known is not None
        if not isinstance(known, JournalFatal):
            _roll_back(connection)
        raise known from error


def _roll_back(connection: Connection) -> None:
    """Roll back, unless sqlite already did so by itself (it does on FULL and IOERR)."""
    if not connection.in_transaction:
        return
    try:
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise JournalFatal("JOURNAL_FATAL", "the rollback failed") from error


# --- opening -------------------------------------------------------------------------------


def open_database(path: Path, *, exclusive: bool) -> Connection:
    """Open or create (0600) a journal in autocommit mode, every durable setting read back.

    With `exclusive` the lock is held from here to close, and a held one is refused at once;
    otherwise other processes may write too and are waited for up to SQLITE_BUSY_MS. The
    connection may be handed to another thread; its owner sees to it that only one uses it.

    Raises:
        ConfigError: JOURNAL_NOT_DURABLE, JOURNAL_IN_USE or JOURNAL_DAMAGED.
        JournalFull: no room to create it.
    """
    full = path.absolute()
    if full.name == ":memory:":
        raise _not_durable(path, "it is in memory")
    _create(full)
    try:
        connection = sqlite3.connect(full, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _refused(path, error) from error
    try:
        _configure(connection, path, exclusive=exclusive)
    except sqlite3.Error as error:
        connection.close()
        raise _refused(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Create the file for its owner only; sqlite gives `-wal` and `-shm` the same mode."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    if path.is_symlink():  # Windows would create what a dangling link points to
        raise _not_durable(path, "it is not an ordinary file")
    try:
        os.close(os.open(path, flags, 0o600))
        sync_folder(path.parent)
    except FileExistsError:
        # Never open an existing one here: closing it would drop every POSIX lock that another
        # connection of this process holds on it.
        if not path.is_file():
            raise _not_durable(path, "it is not an ordinary file") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise JournalFull("JOURNAL_FULL", f"{path} cannot be created") from None
        raise _not_durable(path, f"it cannot be created ({error.strerror})") from None


def _configure(connection: Connection, path: Path, *, exclusive: bool) -> None:
    """Set and read back; the order matters: locking mode first, so that no `-shm` is shared."""
    wait_ms = 0 if exclusive else SQLITE_BUSY_MS
    _pragma(connection, path, "busy_timeout", wait_ms)
    _pragma(connection, path, "locking_mode", "exclusive" if exclusive else "normal")
    _pragma(connection, path, "journal_mode", "wal")
    _pragma(connection, path, "synchronous", 2)  # FULL
    _pragma(connection, path, "foreign_keys", 1)
    _pragma(connection, path, "trusted_schema", 0)
    if sys.platform == "darwin":  # fsync there does not reach the platter
        _pragma(connection, path, "fullfsync", 1)
        _pragma(connection, path, "checkpoint_fullfsync", 1)
    if exclusive:
        # The mode alone locks nothing until the first write.
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        _pragma(connection, path, "busy_timeout", SQLITE_BUSY_MS)
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def _pragma(connection: Connection, path: Path, name: str, value: str | int) -> None:
    connection.execute(f"PRAGMA {name} = {value}")
    row = connection.execute(f"PRAGMA {name}").fetchone()
    if row is None or row[0] != value:
        raise _not_durable(path, f"{name} stays {row[0] if row else 'unset'}, not {value}")


def _not_durable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        "JOURNAL_NOT_DURABLE",
        f"the journal {path} cannot be kept safely, {why}: put it in a folder of yours on a "
        f"local disk",
    )


def _refused(path: Path, error: sqlite3.Error) -> BridgeError:
    code = _primary(error)
    if code in _BUSY:
        return ConfigError(
            "JOURNAL_IN_USE",
            f"the journal {path} is in use by another process: stop the one that has it open",
        )
    if code in _DAMAGED:
        return ConfigError(
            "JOURNAL_DAMAGED",
            f"{path} is not a readable journal: move it aside and restore the last backup",
        )
    if code == sqlite3.SQLITE_FULL:
        return JournalFull("JOURNAL_FULL", f"{path} cannot be opened")
    return _not_durable(path, f"sqlite says {getattr(error, 'sqlite_errorname', 'ERROR')}")


# --- beside the journal --------------------------------------------------------------------


def copy_aside(path: Path, suffix: str, *, source: Connection | None = None) -> Path:
    """Copy a whole journal to `PATH` + `suffix` before an upgrade and return the copy's path.

    An earlier copy is never overwritten: the next gets `-2`, `-3` … Give the owner's open
    connection as `source` if it holds the journal exclusively.

    Raises:
        ConfigError: as `open_database`.
        JournalFull: no room for the copy.
    """
    target = path.with_name(path.name + suffix)
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}{suffix}-{number}")
    reader = source if source is not None else open_database(path, exclusive=False)
    _create(target)
    try:
        with journal_errors():
            copy = sqlite3.connect(target, isolation_level=None)
            try:
                reader.backup(copy)
                # A backup of a WAL database is one too; a copy should be a single file.
                copy.execute("PRAGMA journal_mode = DELETE")
            finally:
                copy.close()
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        if reader is not source:
            reader.close()
    sync_folder(target.parent)
    return target


class Reserve:
    """The file `reserve` beside the journal: room to record what reduces, once the disk is full."""

    def __init__(self, journal: Path, size_bytes: int = JOURNAL_RESERVE_BYTES) -> None:
        self.path = journal.with_name("reserve")
        self._size_bytes = size_bytes

    @property
    def exists(self) -> bool:
        """Whether the whole reserve is there."""
        try:
            info = self.path.lstat()
        except FileNotFoundError:
            return False
        # A sparse file holds no room. Windows has no st_blocks; we never write sparse ones.
        blocks = getattr(info, "st_blocks", None)
        return info.st_size == self._size_bytes and (
            blocks is None or blocks * 512 >= self._size_bytes
        )

    def ensure(self) -> None:
        """Write it in full if it is not there; random bytes, which no file system compresses.

        Raises:
            JournalFull: no room; no part of it is left behind.
            OSError: the folder cannot be written to.
        """
        if self.exists:
            return
        self.path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self.path, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(self._size_bytes))
                file.flush()
                os.fsync(descriptor)
            sync_folder(self.path.parent)
        except OSError as error:
            self.path.unlink(missing_ok=True)
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise JournalFull("JOURNAL_FULL", f"no room for {self.path}") from error
            raise

    def release(self) -> bool:
        """Delete it and return whether there was any: the space is free for the journal."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

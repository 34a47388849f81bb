"""A lock between processes that dies with its process, whatever kills it."""

from __future__ import annotations

import os
import re
import sys
import weakref
from pathlib import Path
from typing import Final

from bridge_core.protocol.errors import ConfigError

__all__ = ["FileLock"]

_TEXT_BYTES_MAX: Final = 256
_PID: Final = re.compile(rb"([0-9]{1,10}) ")
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

if sys.platform == "win32":
    import msvcrt

    # Locks are mandatory there: the locked byte lies far behind the text, which stays readable.
    _LOCKED_BYTE: Final = 1 << 30

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class FileLock:
    """Held from `acquire()` to `release()` or the end of this process; not inherited by fork.

    The file names its owner (`PID NAME`) and is never deleted: a lock on a deleted file locks
    nobody out.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process holds it through this object."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock without waiting.

        Raises:
            ConfigError: CLIENT_IN_USE, naming the other process, also if it is this one.
        """
        descriptor = self._open()
        if not _try_lock(descriptor):
            owner = self._owner(descriptor)
            os.close(descriptor)
            raise ConfigError(
                "CLIENT_IN_USE",
                f"client {self._name!r} is in use by {owner}: stop it, or choose another "
                f"client name (lock file {self._path})",
            )
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        text = f"{os.getpid()} {self._name}"
        os.write(descriptor, text.encode("ascii", "backslashreplace")[:_TEXT_BYTES_MAX])
        self._descriptor = descriptor
        _held.add(self)

    def release(self) -> None:
        """Give it back; nothing happens if it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        _held.discard(self)
        if descriptor is not None:
            # By name: a child that another thread starts has a copy until it becomes its program.
            try:
                _unlock(descriptor)
            finally:
                os.close(descriptor)

    def forget(self) -> None:
        """Close a forked child's copy; its parent goes on holding the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> int:
        try:
            return os.open(self._path, _FLAGS, 0o600)
        except OSError as error:
            raise ConfigError(
                "CLIENT_IN_USE",
                f"the lock file {self._path} cannot be opened ({error.strerror}): "
                f"check the folder and its permissions",
            ) from None

    @staticmethod
    def _owner(descriptor: int) -> str:
        os.lseek(descriptor, 0, os.SEEK_SET)
        found = _PID.match(os.read(descriptor, _TEXT_BYTES_MAX))
        return f"process {found[1].decode('ascii')}" if found else "another process"


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _drop_in_child() -> None:
    """Close a forked child's copies, or a child that outlives us would keep the lock alive.

    Closing is not unlocking: the parent's lock stays until its own last copy is closed.
    """
    for lock in list(_held):
        lock.forget()
    _held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_drop_in_child)

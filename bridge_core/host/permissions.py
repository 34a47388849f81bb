"""Mending what `keyfiles` refuses: a secret file or its folder becomes its owner's alone.

Only ever asked for by a person (`doctor --fix-permissions`); nothing here runs by itself.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from bridge_core.host import windows_acl
from bridge_core.host.keyfiles import read_secret_file
from bridge_core.protocol.errors import ConfigError

__all__ = ["close_to_others", "mend_secrets"]


def mend_secrets(folder: Path | None, files: Iterable[Path]) -> list[Path]:
    """Close a folder of secrets and those of the files that would be refused; return what changed.

    A folder that does not exist and a file that is fine as it is (also a mounted secret) are left
    alone. None: the files lie in a folder that is not only theirs.

    Raises:
        ConfigError: KEY_FILE; what is left is not ours to mend, and how it can be.
    """
    changed: list[Path] = []
    wanted = sorted(files)
    if folder is not None and folder.is_dir():
        if all(_readable(path) for path in wanted) and _is_closed(folder):
            return changed
        if close_to_others(folder):
            changed.append(folder)
    changed += [path for path in wanted if not _readable(path) and close_to_others(path)]
    return changed


def _readable(path: Path) -> bool:
    try:
        read_secret_file(path)
    except ConfigError:
        return False
    return True


def close_to_others(path: Path) -> bool:
    """Make a file 0600 or a folder 0700 (on Windows: an access list of ours); say if it was not.

    Raises:
        ConfigError: KEY_FILE; missing, a link, somebody else's, or the system does not allow it.
    """
    if path.is_symlink():
        raise _refuse(path, "is a link", "put the file itself there")
    try:
        return _close(path)
    except FileNotFoundError:
        raise _refuse(path, "does not exist", "check the path, or run `ztb init`") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fix = "run this as its owner, or as an administrator"
        raise _refuse(path, f"cannot be closed to others ({reason})", fix) from None


def _refuse(path: Path, problem: str, fix: str) -> ConfigError:
    return ConfigError("KEY_FILE", f"{path} {problem}: {fix}")


if sys.platform == "win32":

    def _is_closed(folder: Path) -> bool:
        return windows_acl.read_problem(folder) is None

    def _close(path: Path) -> bool:
        if windows_acl.read_problem(path) is None:
            return False
        windows_acl.make_private(path)
        problem = windows_acl.read_problem(path)
        if problem is not None:
            command = f'icacls "{path}" /setowner "%USERNAME%"'
            raise _refuse(path, problem, f"as an administrator run `{command}`, then this again")
        return True

else:

    def _is_closed(folder: Path) -> bool:
        info = folder.stat()
        # Root's folder is a mount of secrets: what lies in it was just read without complaint.
        return info.st_uid != os.geteuid() or not info.st_mode & 0o077

    def _close(path: Path) -> bool:
        # What is opened is what is changed: a swap of the name meanwhile changes nothing else.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            info = os.fstat(descriptor)
            if info.st_uid != os.geteuid():
                raise _refuse(
                    path, "is owned by another user", f"run `chown {os.geteuid()} {path}`"
                )
            if not info.st_mode & 0o077:
                return False
            os.fchmod(descriptor, 0o700 if stat.S_ISDIR(info.st_mode) else 0o600)
        finally:
            os.close(descriptor)
        return True

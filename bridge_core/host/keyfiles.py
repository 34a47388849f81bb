"""Owner-only files: the only door through which keys and credentials come and go.

A refusal is `ConfigError("KEY_FILE", …)` and prints the one command that mends it; no error here
ever shows a byte of what the file holds.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bridge_core.host import windows_acl
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Secret
from bridge_core.protocol.limits import KEY_BYTES

__all__ = [
    "load_key_file",
    "parse_key_hex",
    "put_in_place",
    "random_key",
    "read_secret_file",
    "remove_in_place",
    "replace_key_file",
    "replace_secret_file",
    "save_key_file",
    "sync_folder",
    "weak_key_problem",
    "write_secret_file",
]

T = TypeVar("T", bound=msgspec.Struct)

_BYTES_MAX: Final = 65_536
_RUN_SECRETS: Final = Path("/run/secrets")
_KEY_HEX: Final = re.compile(r"[0-9a-f]{64}")
_JSON_PATH: Final = re.compile(r" - at `(\$[A-Za-z0-9_.\[\]]*)`$")
# The first words anybody hashes when asked for a key.
_SAMPLES: Final = frozenset(
    hashlib.sha256(word).digest()
    for word in (b"", b"test", b"key", b"secret", b"password", b"changeme", b"hello", b"ztbridge")
)
_PATIENCE_S: Final = 0.5 if sys.platform == "win32" else 0.0
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
# A FIFO in the place of a key must be an error, not a hang; O_BINARY keeps CR LF on Windows.
_READ: Final = os.O_RDONLY | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | getattr(os, "O_BINARY", 0)


def _refuse(path: Path, problem: str, fix: str) -> ConfigError:
    return ConfigError("KEY_FILE", f"{path} {problem}: {fix}")


def _os_problem(path: Path, error: OSError) -> ConfigError:
    reason = error.strerror or type(error).__name__
    return _refuse(path, f"cannot be used ({reason})", f"check the path, then `ls -l {path}`")


# --- who may read it -----------------------------------------------------------------------


def _credentials_folder() -> Path | None:
    """Return systemd's folder of credentials, if there is one that others cannot write to."""
    text = os.environ.get("CREDENTIALS_DIRECTORY", "")
    folder = Path(text)
    if not text or not folder.is_absolute() or folder.parent == folder or not folder.is_dir():
        return None
    # The variable must not be a switch that turns checks off for any folder one can name.
    return folder if _folder_problem(folder) is None else None


def _managed_target(path: Path) -> Path | None:
    """Return the real file if a service manager owns the place, else None.

    Orchestrators mount secrets as links (`..data/NAME`), so links are followed there, but only
    as long as they stay inside the same folder.
    """
    plain = Path(os.path.abspath(path))  # noqa: PTH100  # Path.absolute keeps `..`
    for folder in (_RUN_SECRETS, _credentials_folder()):
        if folder is not None and plain.is_relative_to(folder):
            target = plain.resolve()
            if not target.is_relative_to(folder.resolve()):
                raise _refuse(path, f"is a link that leaves {folder}", "mount the file itself")
            return target
    return None


def _folder_problem(folder: Path) -> tuple[str, str] | None:
    """Say whether somebody else could swap files in `folder`: the problem and its fix."""
    if sys.platform != "win32":  # there the file's own access list decides, owner included
        info = folder.stat()
        if info.st_uid not in {0, os.geteuid()}:
            return f"lies in {folder}, which another user owns", "move it to a folder of your own"
        if info.st_mode & 0o022:
            return f"lies in {folder}, which others may write to", f"run `chmod go-w {folder}`"
    return None


def _check_open_file(path: Path, descriptor: int, *, managed: bool) -> None:
    """Check the file that is really open, so that no swap after the check helps."""
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        raise _refuse(path, "is not an ordinary file", "put the key file there")
    if sys.platform == "win32":
        problem = windows_acl.read_problem(path)
        if problem is not None:
            raise _refuse(path, problem, f"run `{windows_acl.mend_command(path)}`")
    elif managed:
        if info.st_uid not in {0, os.geteuid()} or info.st_mode & 0o022:
            raise _refuse(path, "can be changed by others", "mount it read-only")
    elif info.st_uid != os.geteuid():
        raise _refuse(path, "is owned by another user", f"run `chown {os.geteuid()} {path}`")
    elif info.st_mode & 0o077:
        raise _refuse(path, "can be read by others", f"run `chmod 600 {path}`")


def read_secret_file(path: Path) -> bytes:
    """Return the bytes of an owner-only file (at most 64 KiB).

    Under `/run/secrets` and `$CREDENTIALS_DIRECTORY` a readable file of root's is accepted too.

    Raises:
        ConfigError: KEY_FILE; missing, a link, not ours, open to others, or too large.
    """
    try:
        target = _managed_target(path)
        managed = target is not None
        target = target or path
        if target.is_symlink():  # O_NOFOLLOW says the same without a race, where it exists
            raise _refuse(path, "is a link", "put the file itself there")
        descriptor = os.open(target, _READ)
        try:
            _check_open_file(target, descriptor, managed=managed)
            problem = None if managed else _folder_problem(target.absolute().parent)
            if problem is not None:
                raise _refuse(path, *problem)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = Secret(file.read(_BYTES_MAX + 1))
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise _refuse(path, "does not exist", "check it, or make it with `ztb init`") from None
    except OSError as error:
        raise _os_problem(path, error) from None
    if len(data) > _BYTES_MAX:
        raise _refuse(path, f"is larger than {_BYTES_MAX} bytes", "put the key file there")
    return data


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable; Windows does so by itself.

    Raises:
        OSError: the folder cannot be opened or synced.
    """
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def put_in_place(fresh: Path, path: Path, *, patience_s: float = _PATIENCE_S) -> None:
    """Rename `fresh` over `path`.

    Windows refuses that while somebody else, a virus scanner for one, has `path` open, which
    lasts a moment: it is tried again for `patience_s` seconds.

    Raises:
        OSError: it cannot be done.
    """
    _once_let_go(lambda: fresh.replace(path), patience_s)


def remove_in_place(path: Path, *, patience_s: float = _PATIENCE_S) -> None:
    """Remove `path`, if it is there; with the same patience.

    Raises:
        OSError: it cannot be done.
    """
    _once_let_go(lambda: path.unlink(missing_ok=True), patience_s)


def _once_let_go(do: Callable[[], object], patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            do()
        except PermissionError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return


def _make_private_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    windows_acl.make_private(folder)


def write_secret_file(path: Path, data: bytes) -> None:
    """Create an owner-only file (0600), durable on return; missing folders are made 0700.

    Raises:
        ConfigError: KEY_FILE; it exists already, or the folder is open to others.
    """
    created = False
    try:
        folder = path.absolute().parent
        _make_private_folder(folder)
        problem = _folder_problem(folder)
        if problem is not None:
            raise _refuse(path, *problem)
        descriptor = os.open(path, _CREATE, 0o600)
        created = True
        with os.fdopen(descriptor, "wb") as file:
            if sys.platform == "win32":
                windows_acl.make_private(path)
            else:
                os.fchmod(descriptor, 0o600)  # an odd umask may have taken our own bits
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        sync_folder(folder)
    except FileExistsError:
        raise _refuse(path, "exists and is never overwritten", "move it away first") from None
    except OSError as error:
        if created:
            path.unlink(missing_ok=True)  # half a key must not look like a key
        raise _os_problem(path, error) from None


def replace_secret_file(path: Path, data: bytes) -> None:
    """Replace an owner-only file as a whole, durable on return; it may also be new.

    Raises:
        ConfigError: KEY_FILE; the file or its folder is open to others, or cannot be written.
    """
    if path.is_symlink():
        raise _refuse(path, "is a link", "put the file itself there")
    # Written beside it under another name: a crash leaves the old file or the new one.
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_secret_file(fresh, data)
    try:
        put_in_place(fresh, path)
        sync_folder(path.absolute().parent)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise _os_problem(path, error) from None


# --- what it holds -------------------------------------------------------------------------


def load_key_file(path: Path, type_: type[T]) -> T:
    """Return the JSON struct in an owner-only file.

    Raises:
        ConfigError: KEY_FILE; as `read_secret_file`, or not exactly what `type_` asks for.
    """
    assert type_.__struct_config__.forbid_unknown_fields, "key files are closed structs"
    assert type_.__struct_config__.frozen, "key files are frozen structs"
    data = read_secret_file(path)
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Only the place is told: the library's sentence may quote a value. Hence `from None`.
        place = _JSON_PATH.search(str(error))
        where = f" at {place[1]}" if place else ""
    raise _refuse(
        path, f"is not a {type_.__name__} file{where}", "copy it again from where it was made"
    ) from None


def save_key_file(path: Path, value: msgspec.Struct) -> None:
    """Write a struct as an owner-only JSON file that does not exist yet.

    Raises:
        ConfigError: KEY_FILE; as `write_secret_file`.
    """
    write_secret_file(path, _text_of(value))


def replace_key_file(path: Path, value: msgspec.Struct) -> None:
    """Write a struct as an owner-only JSON file in the place of the one that is there.

    Raises:
        ConfigError: KEY_FILE; as `replace_secret_file`.
    """
    replace_secret_file(path, _text_of(value))


def _text_of(value: msgspec.Struct) -> bytes:
    return Secret(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def weak_key_problem(key: bytes) -> str | None:
    """Return why a key is not 32 random bytes, or None.

    Each test passes a random key with a probability of failure below 1e-13.
    """
    if len(key) != KEY_BYTES:
        return f"is {len(key)} bytes long, not {KEY_BYTES}"
    if len(set(key)) == 1:
        return "is one byte repeated"
    if any(key[period:] == key[:-period] for period in range(2, KEY_BYTES // 2 + 1)):
        return "repeats itself"
    if len({(after - before) % 256 for before, after in pairwise(key)}) == 1:
        return "is a sequence"
    if all(0x20 <= byte < 0x7F for byte in key):
        return "is text, not random bytes"
    if len(set(key)) <= KEY_BYTES // 2:
        return "has too few different bytes"
    if key in _SAMPLES:
        return "is a published sample"
    return None


def random_key() -> bytes:
    """Return 32 bytes from the operating system's generator."""
    key = Secret(secrets.token_bytes(KEY_BYTES))
    problem = weak_key_problem(key)
    if problem is not None:
        raise ConfigError("KEY_FILE", f"a fresh random key {problem}: repair this machine's RNG")
    return key


def parse_key_hex(text: str) -> bytes:
    """Return the key that exactly 64 lower-case hex digits spell.

    Raises:
        ConfigError: KEY_FILE; another shape, or a weak key. Never shows the text, nor do the
            locals of a traceback.
    """
    key = Secret(bytes.fromhex(text)) if _KEY_HEX.fullmatch(text) else None
    del text
    if key is None:
        raise ConfigError(
            "KEY_FILE", "a key is not 64 lower-case hex digits: make it with `ztb keys add`"
        )
    problem = weak_key_problem(key)
    if problem is not None:
        raise ConfigError("KEY_FILE", f"a key {problem}: make a new one with `ztb keys add`")
    return key

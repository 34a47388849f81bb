"""Closing key files to others: what is mended, what is left alone, and what is refused."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from bridge_core.host import windows_acl
from bridge_core.host.keyfiles import read_secret_file, write_secret_file
from bridge_core.host.permissions import close_to_others, mend_secrets
from bridge_core.protocol.errors import ConfigError

posix = pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX modes")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    for name in ("a.key", "b.key"):
        write_secret_file(folder / name, b"secret")
    return folder


@posix
def test_an_open_file_and_folder_are_closed_and_named_and_can_then_be_read(keys: Path) -> None:
    keys.chmod(0o777)
    (keys / "b.key").chmod(0o644)
    with pytest.raises(ConfigError):
        read_secret_file(keys / "b.key")
    assert mend_secrets(keys, keys.glob("*.key")) == [keys, keys / "b.key"]
    assert (_mode(keys), _mode(keys / "b.key")) == (0o700, 0o600)
    assert read_secret_file(keys / "b.key") == b"secret"


def test_what_is_closed_already_is_not_touched(keys: Path) -> None:
    before = {path: path.stat().st_ctime_ns for path in (keys, *keys.iterdir())}
    assert mend_secrets(keys, keys.glob("*.key")) == []
    assert {path: path.stat().st_ctime_ns for path in before} == before


@posix
def test_a_folder_that_others_may_list_is_closed_although_its_files_are_safe(keys: Path) -> None:
    keys.chmod(0o755)
    assert mend_secrets(keys, keys.glob("*.key")) == [keys]
    assert _mode(keys) == 0o700


@posix
def test_a_link_is_never_followed(keys: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine, and public")
    other.chmod(0o644)
    (keys / "c.key").symlink_to(other)
    with pytest.raises(ConfigError, match="is a link"):
        mend_secrets(keys, keys.glob("*.key"))
    assert _mode(other) == 0o644


def test_what_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.key does not exist: check"):
        close_to_others(tmp_path / "no.key")


@posix
def test_a_fifo_in_the_place_of_a_key_does_not_hang_it(keys: Path) -> None:
    os.mkfifo(keys / "d.key", 0o644)
    assert close_to_others(keys / "d.key")
    assert _mode(keys / "d.key") == 0o600


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="platform: needs root")
def test_somebody_elses_file_is_refused_with_the_command(keys: Path) -> None:
    os.chown(keys / "a.key", 12_345, -1)
    (keys / "a.key").chmod(0o644)
    with pytest.raises(ConfigError, match=r"owned by another user: run `chown 0 "):
        mend_secrets(keys, keys.glob("*.key"))
    assert _mode(keys / "a.key") == 0o644


@pytest.mark.skipif(sys.platform != "win32", reason="platform: Windows access lists")
def test_on_windows_the_access_list_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(b"secret")  # it inherits what the folder grants
    if windows_acl.read_problem(path) is None:
        pytest.skip("platform: this folder grants nothing to others")
    assert close_to_others(path)
    assert windows_acl.read_problem(path) is None

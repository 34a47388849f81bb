"""Key files: who may read them, what they may hold, and that no refusal shows a byte of it."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.host import keyfiles
from bridge_core.host.keyfiles import (
    load_key_file,
    parse_key_hex,
    put_in_place,
    random_key,
    read_secret_file,
    remove_in_place,
    save_key_file,
    weak_key_problem,
    write_secret_file,
)
from bridge_core.protocol.errors import ConfigError

posix = pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX modes")
SECRET = "5f4dcc3b5aa765d61d8327deb882cf99a1b2c3d4e5f60718293a4b5c6d7e8f90"


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kid: str
    root: str
    count: int = 0
    names: dict[str, int] = {}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def odd_umask() -> Iterator[None]:
    before = os.umask(0o277)
    yield
    os.umask(before)


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_secret_file(path)
    assert caught.value.code == "KEY_FILE"
    return caught.value.detail


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="ascii")
    path.chmod(mode)
    return path


def test_what_was_written_is_read_back(home: Path) -> None:
    path = home / "a.key"
    write_secret_file(path, b"\x00\r\n\x1a\xff")
    assert read_secret_file(path) == b"\x00\r\n\x1a\xff"


@posix
def test_a_written_file_is_0600_in_folders_made_0700(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "a.key"
    write_secret_file(path, b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


@posix
@pytest.mark.usefixtures("odd_umask")
def test_an_odd_umask_changes_nothing(home: Path) -> None:
    write_secret_file(home / "a.key", b"x")
    assert stat.S_IMODE((home / "a.key").stat().st_mode) == 0o600


def test_an_existing_file_is_never_overwritten(home: Path) -> None:
    path = home / "a.key"
    write_secret_file(path, b"first")
    with pytest.raises(ConfigError, match="never overwritten"):
        write_secret_file(path, b"second")
    assert read_secret_file(path) == b"first"


@posix
def test_writing_through_a_planted_link_is_refused(home: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (home / "a.key").symlink_to(victim)
    with pytest.raises(ConfigError):
        write_secret_file(home / "a.key", b"x")
    assert not victim.exists()


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601, 0o610, 0o777])
def test_any_bit_for_others_is_refused_with_the_command_that_mends_it(
    home: Path, mode: int
) -> None:
    path = put(home / "a.key", SECRET, mode)
    detail = refusal(path)
    assert f"`chmod 600 {path}`" in detail
    assert SECRET not in detail
    path.chmod(0o600)
    assert read_secret_file(path) == SECRET.encode()


@posix
def test_a_folder_others_may_write_to_is_refused(home: Path) -> None:
    path = put(home / "a.key", SECRET)
    home.chmod(0o770)
    assert f"`chmod go-w {home}`" in refusal(path)
    with pytest.raises(ConfigError, match="chmod go-w"):
        write_secret_file(home / "b.key", b"x")


@posix
def test_a_link_is_refused_even_to_a_good_file(home: Path) -> None:
    put(home / "a.key", SECRET)
    (home / "b.key").symlink_to(home / "a.key")
    assert "link" in refusal(home / "b.key")


@posix
def test_a_link_that_appears_after_the_look_is_refused_by_the_open_itself(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home / "a.key", SECRET)
    (home / "b.key").symlink_to(home / "a.key")
    monkeypatch.setattr(Path, "is_symlink", lambda _path: False)
    refusal(home / "b.key")


@posix
def test_a_fifo_is_refused_without_waiting_for_its_writer(home: Path) -> None:
    if sys.platform != "win32":
        os.mkfifo(home / "a.key", 0o600)
    assert "ordinary file" in refusal(home / "a.key")


@posix
def test_a_file_of_another_user_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(home / "a.key", SECRET)
    monkeypatch.setattr(os, "geteuid", lambda: 4_242)
    assert "another user" in refusal(path)


def test_a_folder_a_missing_and_a_huge_file_are_refused(home: Path) -> None:
    refusal(home)
    assert "does not exist" in refusal(home / "none.key")
    assert "larger" in refusal(put(home / "big.key", "x" * 70_000))


# --- /run/secrets and systemd credentials --------------------------------------------------


@pytest.fixture
def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o755)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


@posix
def test_a_readable_file_from_the_service_manager_is_accepted(managed: Path) -> None:
    assert read_secret_file(put(managed / "a.key", "x", 0o444)) == b"x"


@posix
def test_run_secrets_is_such_a_place_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.key", "x", 0o444)
    monkeypatch.setattr(keyfiles, "_RUN_SECRETS", tmp_path)
    assert read_secret_file(tmp_path / "a.key") == b"x"


@posix
def test_a_link_inside_the_managed_folder_is_followed(managed: Path) -> None:
    (managed / "..data").mkdir()
    put(managed / "..data" / "a.key", "x", 0o444)
    (managed / "a.key").symlink_to(Path("..data") / "a.key")
    assert read_secret_file(managed / "a.key") == b"x"


@posix
def test_a_link_that_leaves_the_managed_folder_is_refused(managed: Path, home: Path) -> None:
    put(home / "a.key", SECRET, 0o644)
    (managed / "a.key").symlink_to(home / "a.key")
    assert "leaves" in refusal(managed / "a.key")


@posix
def test_climbing_out_of_the_managed_folder_wins_nothing(managed: Path, home: Path) -> None:
    put(home / "a.key", SECRET, 0o644)
    assert "chmod 600" in refusal(managed / ".." / "keys" / "a.key")


@posix
def test_a_managed_file_others_may_write_is_refused(managed: Path) -> None:
    assert "changed by others" in refusal(put(managed / "a.key", "x", 0o466))


@posix
@pytest.mark.parametrize("value", ["", "/", "keys", "."])
def test_the_variable_is_no_switch_that_turns_the_checks_off(
    home: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", value)
    refusal(put(home / "a.key", SECRET, 0o644))


@posix
def test_a_managed_folder_others_may_write_to_is_an_ordinary_folder(managed: Path) -> None:
    managed.chmod(0o777)
    assert "chmod" in refusal(put(managed / "a.key", "x", 0o444))


# --- what they hold ------------------------------------------------------------------------


def test_a_saved_struct_is_loaded_again(home: Path) -> None:
    sample = Sample(kid="k1", root=SECRET, count=3, names={"a": 1})
    save_key_file(home / "a.key", sample)
    assert load_key_file(home / "a.key", Sample) == sample


@pytest.mark.parametrize(
    "text",
    [
        f'{{"kid": "k1", "root": "{SECRET}", "{SECRET}": 1}}',
        f'{{"kid": "k1", "root": "{SECRET}", "count": "{SECRET}"}}',
        f'{{"kid": "k1", "root": "{SECRET}", "names": {{"{SECRET}": "{SECRET}"}}}}',
        f'{{"kid": "k1", "root": "{SECRET}"',
        f'{{"root": "{SECRET}"}}',
        f'"{SECRET}"',
        SECRET,
        "",
        "[" * 5_000,
    ],
)
def test_a_wrong_key_file_is_refused_without_a_byte_of_it(home: Path, text: str) -> None:
    put(home / "a.key", text)
    with pytest.raises(ConfigError) as caught:
        load_key_file(home / "a.key", Sample)
    assert caught.value.code == "KEY_FILE"
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or SECRET not in repr(caught.value.__context__)


def test_the_place_of_the_mistake_is_named(home: Path) -> None:
    put(home / "a.key", '{"kid": 7, "root": "x"}')
    with pytest.raises(ConfigError, match=r"Sample file at \$\.kid"):
        load_key_file(home / "a.key", Sample)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"k" * 31,
        bytes(33),
        bytes(32),
        b"\xff" * 32,
        b"\x0b" * 20 + bytes(12),
        b"\xde\xad\xbe\xef" * 8,
        bytes(range(16)) * 2,
        bytes(range(32)),
        bytes(range(32, 64)),
        bytes(range(255, 223, -1)),
        bytes(n * 8 % 256 for n in range(32)),
        b"correct horse battery staple 123",
        SECRET[:32].encode(),
        b"my secret key" + bytes(19),
        hashlib.sha256(b"password").digest(),
    ],
)
def test_a_weak_key_is_found(key: bytes) -> None:
    assert weak_key_problem(key) is not None


def test_no_random_key_is_called_weak_and_no_two_are_equal() -> None:
    keys = {random_key() for _ in range(2_000)}
    assert len(keys) == 2_000
    assert {len(key) for key in keys} == {32}


@given(st.binary(min_size=32, max_size=32))
def test_a_key_survives_its_hex_unless_it_is_weak(key: bytes) -> None:
    if weak_key_problem(key) is None:
        assert parse_key_hex(key.hex()) == key
    else:
        with pytest.raises(ConfigError):
            parse_key_hex(key.hex())


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET[:-1],
        SECRET + "0",
        SECRET.upper(),
        SECRET + "\n",
        " " + SECRET[1:],
        "0x" + SECRET[2:],
        SECRET[:-1] + "\uff11",
        SECRET[:-2] + "_1",
        SECRET[:-1] + "g",
        "00" * 32,
    ],
)
def test_other_spellings_of_a_key_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_key_hex(text)
    assert caught.value.code == "KEY_FILE"
    assert text.strip()[:20] not in str(caught.value) or not text


class HeldOpen:
    """A path that cannot be renamed or removed the first times, as one that a scanner reads."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.done = 0

    def replace(self, _path: object) -> None:
        if self.times:
            self.times -= 1
            raise PermissionError(13, "Access is denied")
        self.done += 1

    def unlink(self, *, missing_ok: bool) -> None:
        self.replace(missing_ok)


@pytest.mark.parametrize("times", [0, 1, 5])
def test_a_file_that_is_held_open_for_a_moment_is_waited_for(times: int, tmp_path: Path) -> None:
    fresh, gone = HeldOpen(times), HeldOpen(times)
    put_in_place(cast("Path", fresh), tmp_path, patience_s=10)
    remove_in_place(cast("Path", gone), patience_s=10)
    assert (fresh.done, gone.done) == (1, 1)


def test_a_file_that_is_held_open_for_good_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        put_in_place(cast("Path", HeldOpen(10**9)), tmp_path, patience_s=0.05)
    with pytest.raises(PermissionError):
        remove_in_place(cast("Path", HeldOpen(1)), patience_s=0)

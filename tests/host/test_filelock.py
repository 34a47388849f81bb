"""The lock that dies with its process, proven with processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge_core.host.sqlite import FileLock
from bridge_core.protocol.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="platform: fork")

HOLD = """
import sys
from pathlib import Path
from bridge_core.host.sqlite import FileLock
lock = FileLock(Path(sys.argv[1]), "atlas")
lock.acquire()
print("ready", flush=True)
sys.stdin.read()
"""

# The child of a fork outlives its parent, which is killed while it holds the lock.
FORK_AND_HOLD = """
import os, sys, time
from pathlib import Path
from bridge_core.host.sqlite import FileLock
lock = FileLock(Path(sys.argv[1]), "atlas")
lock.acquire()
child = os.fork()
if child == 0:
    lock.release()
    print(os.getpid(), flush=True)
    time.sleep(30)
    os._exit(0)
sys.stdin.read()
"""


@contextmanager
def holder(script: str, path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        FileLock(path, "atlas").acquire()
    assert caught.value.code == "CLIENT_IN_USE"
    return caught.value.detail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "atlas.lock"


def test_another_process_is_named_and_its_death_frees_the_lock(path: Path) -> None:
    with holder(HOLD, path) as (process, ready):
        assert ready == "ready"
        assert f"process {process.pid}" in refused(path)
        process.kill()
        process.wait()
        lock = FileLock(path, "atlas")
        lock.acquire()
        lock.release()


def test_a_second_lock_in_the_same_process_is_refused_too(path: Path) -> None:
    lock = FileLock(path, "atlas")
    lock.acquire()
    assert f"process {os.getpid()}" in refused(path)
    with pytest.raises(ConfigError):
        lock.acquire()
    refused(path)
    lock.release()
    lock.release()
    other = FileLock(path, "other")
    other.acquire()
    assert [lock.held, other.held] == [False, True]
    other.release()


@posix
def test_given_back_it_is_free_though_a_child_that_just_begins_has_a_copy_of_it(path: Path) -> None:
    lock = FileLock(path, "atlas")
    lock.acquire()
    assert lock._descriptor is not None
    copy = os.dup(lock._descriptor)  # what a child has between its fork and its program
    lock.release()
    again = FileLock(path, "atlas")
    again.acquire()
    os.close(copy)
    assert f"process {os.getpid()}" in refused(path)
    again.release()


def test_a_refused_look_does_not_free_it(path: Path) -> None:
    lock = FileLock(path, "atlas")
    lock.acquire()
    refused(path)
    refused(path)
    lock.release()


def test_an_old_file_with_any_text_locks_nobody_out_and_is_never_echoed(path: Path) -> None:
    path.write_bytes(b"\x1b[31mevil 4242 atlas\n" * 1000)
    lock = FileLock(path, "atlas\nx")
    lock.acquire()
    assert path.read_text(encoding="ascii") == f"{os.getpid()} atlas\nx"
    path.write_bytes(b"\x1b[31mevil")
    detail = refused(path)
    assert "another process" in detail
    assert "evil" not in detail
    lock.release()


@posix
def test_a_planted_link_and_a_missing_folder_are_refused(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "victim")
    assert "cannot be opened" in refused(path)
    assert not (tmp_path / "victim").exists()
    assert "cannot be opened" in refused(tmp_path / "none" / "x.lock")


@posix
def test_a_forked_child_neither_frees_the_lock_nor_keeps_it_alive(path: Path) -> None:
    with holder(FORK_AND_HOLD, path) as (process, child):
        try:
            assert f"process {process.pid}" in refused(path)
            process.kill()
            process.wait()
            lock = FileLock(path, "atlas")
            lock.acquire()
            lock.release()
        finally:
            os.kill(int(child), 9)

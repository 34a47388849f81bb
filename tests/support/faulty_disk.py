"""A disk that fails on request, under real SQLite: ENOSPC, EIO, torn writes, death, power cuts.

`faulty_disk.c` is compiled once for each test run and preloaded into the processes under test. It
acts on files of one folder, by rules in a control file that this module writes while they run.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from enum import IntEnum, IntFlag
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, Self

__all__ = ["Action", "Call", "Counts", "FaultyDisk", "Rule", "attach", "cut_power", "library"]

_SOURCE: Final = Path(__file__).with_suffix(".c")
_HEAD: Final = struct.Struct("=4i256s")
_RULE: Final = struct.Struct("=6i40s")
_RECORD: Final = struct.Struct("=4i2q64s")
_MUTE: Final = struct.Struct("=i")
_MUTE_AT: Final = 12
_RULES: Final = 4
_SYNC_FAILED: Final = 8
_SECTOR: Final = 512


class Call(IntFlag):
    """Kinds of calls."""

    WRITE = 1
    SYNC = 2
    TRUNCATE = 4


class Action(IntEnum):
    """What happens to a call that a rule hits."""

    FAIL = 1
    FAIL_TORN = 2
    KILL_BEFORE = 3
    KILL_TORN = 4
    KILL_AFTER = 5


class Rule(NamedTuple):
    """Hit the calls of these kinds on files whose names begin so, after `skip` of them.

    `times` is how many are hit, -1 means all from then on; `error` is the errno of FAIL.
    """

    calls: Call
    action: Action
    name: str = ""
    error: int = errno.EIO
    skip: int = 0
    times: int = 1


class Counts(NamedTuple):
    """How many calls there have been."""

    writes: int
    syncs: int
    truncates: int


@cache
def library(folder: Path) -> Path:
    """Compile the layer into `folder` and return it.

    Raises:
        LookupError: this platform has no such layer, or no compiler: the text says what to do.
    """
    if not sys.platform.startswith("linux"):
        raise LookupError("platform: the faulty disk needs LD_PRELOAD and /proc")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise LookupError("the faulty disk (install gcc)")
    target = folder / "faulty_disk.so"
    flags = ("-O2", "-Wall", "-shared", "-fPIC")
    subprocess.run(
        [compiler, *flags, "-o", str(target), str(_SOURCE), "-ldl", "-lpthread"], check=True
    )
    return target


class FaultyDisk:
    """One end of a control file: the test's, or that of the process under test."""

    def __init__(self, control: Path) -> None:
        """Open a control file that `make` has written; both ends do."""
        self.control = control
        with control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    @classmethod
    def make(cls, control: Path, folder: Path) -> Self:
        """Write a control file without rules: `folder` is where the calls are watched."""
        head = _HEAD.pack(0, 0, 0, 0, str(folder.resolve()).encode())
        control.write_bytes(head + bytes(_RULE.size * _RULES))
        return cls(control)

    @property
    def history(self) -> Path:
        """Where the layer keeps what was written, for `cut_power`."""
        return self.control.with_suffix(".history")

    def set(self, *rules: Rule) -> None:
        """Let these rules hold from now on, and no others."""
        at = _HEAD.size
        self._map[at:] = bytes(_RULE.size * _RULES)  # no rule is half old and half new
        packed = [
            _RULE.pack(r.calls, r.action, r.error, r.skip, r.times, 0, r.name.encode())
            for r in rules
        ]
        raw = b"".join(packed)
        self._map[at : at + len(raw)] = raw

    def heal(self) -> None:
        """Let every call through from now on."""
        self.set()

    def mute(self) -> None:
        """Let nothing leave over TCP any more: what is sent stays in ZeroMQ's queue."""
        _MUTE.pack_into(self._map, _MUTE_AT, 1)

    @property
    def hits(self) -> int:
        """How many calls the rules have hit."""
        rules = (_RULE.unpack_from(self._map, _HEAD.size + n * _RULE.size) for n in range(_RULES))
        return sum(rule[5] for rule in rules)

    @property
    def counts(self) -> Counts:
        """How many calls there have been in the folder."""
        return Counts(*_HEAD.unpack_from(self._map)[:3])

    def close(self) -> None:
        """Let go of the mapping."""
        self._map.close()


def attach(control: str, history: str) -> None:
    """Begin to obey a control file, in the process under test.

    Raises:
        OSError: the layer is not preloaded here, or the files cannot be opened.
    """
    begin = getattr(ctypes.CDLL(None), "faulty_disk_attach", None)
    if begin is None or begin(control.encode(), history.encode()) != 0:
        raise OSError(f"the faulty disk is not here: {control}")


class _Write(NamedTuple):
    """One record of a history: a write with the bytes it replaced, a truncation, or a sync."""

    kind: int
    offset: int
    old_size: int
    old: bytes
    new: bytes


def _records(raw: bytes) -> Iterator[tuple[str, _Write]]:
    at = 0
    while at < len(raw):
        kind, old_length, new_length, _, offset, old_size, name = _RECORD.unpack_from(raw, at)
        at += _RECORD.size
        old, new = raw[at : at + old_length], raw[at + old_length : at + old_length + new_length]
        at += old_length + new_length
        yield name.rstrip(b"\0").decode(), _Write(kind, offset, old_size, old, new)


class _Platter:
    """One file twice: as its processes saw it, and what of it is on the platter."""

    def __init__(self, seen: bytes, writes: list[_Write]) -> None:
        cache = bytearray(seen)
        for write in reversed(writes):
            if write.kind in (Call.WRITE, Call.TRUNCATE):
                end = write.offset + max(len(write.old), len(write.new))
                cache[write.offset : end] = write.old
                del cache[write.old_size :]
        self.kept, self._cache = bytearray(cache), cache
        self._dirty: set[int] = set()
        for write in writes:
            self._do(write)

    def _do(self, write: _Write) -> None:
        if write.kind == Call.SYNC:
            self.keep(self._dirty)
            del self.kept[len(self._cache) :]
            self._dirty.clear()
        elif write.kind == _SYNC_FAILED:
            self._dirty.clear()  # nobody writes those sectors out any more
        elif write.kind == Call.TRUNCATE:
            del self._cache[write.offset :]
            self._cache.extend(bytes(write.offset - len(self._cache)))
        else:
            self._cache.extend(bytes(max(0, write.offset - len(self._cache))))
            self._cache[write.offset : write.offset + len(write.new)] = write.new
            last = (write.offset + len(write.new) - 1) // _SECTOR
            self._dirty.update(range(write.offset // _SECTOR, last + 1))

    def keep(self, sectors: Iterable[int]) -> None:
        """Bring these sectors to the platter."""
        for at in (_SECTOR * sector for sector in sectors):
            piece = self._cache[at : at + _SECTOR]
            self.kept.extend(bytes(max(0, at - len(self.kept))))
            self.kept[at : at + len(piece)] = piece

    def cut(self, chance: random.Random | None) -> int:
        """Lose what is not on the platter, or some of it; return how many sectors are lost."""
        saved = {one for one in sorted(self._dirty) if chance and chance.random() < 0.5}
        self.keep(saved)
        return len(self._dirty) - len(saved)


def cut_power(history: Path, folder: Path, *, but: str = "", seed: int | None = None) -> int:
    """Take back what no sync has covered, once the process is dead; return how many sectors.

    Without a seed all of it is lost; with one each sector is lost or kept by chance, since a disk
    owes no order to what was never synced. The file `but` loses nothing.
    """
    writes: dict[str, list[_Write]] = {}
    for name, write in _records(history.read_bytes()):
        writes.setdefault(name, []).append(write)
    chance = None if seed is None else random.Random(seed)
    lost = 0
    for name, of_file in writes.items():
        path = folder / name
        if name != but and path.exists():
            platter = _Platter(path.read_bytes(), of_file)
            lost += platter.cut(chance)
            path.write_bytes(platter.kept)
    history.write_bytes(b"")
    return lost

"""Says whether a libzmq.dll will load in MetaTrader 4, before the terminal says it in numbers.

    python3 mql4/libzmq/check_dll.py libzmq.dll [--needs Zmq.mqh]

Reads the file only (PE/COFF, https://learn.microsoft.com/windows/win32/debug/pe-format); nothing is
loaded or run, so it works on any system and on a DLL one would rather not run. It must be a 32-bit
DLL that imports from Windows' own libraries alone (the terminal's "error 126" is an import that is
missing, its "error 193" a 64-bit file) and exports every function that the EA imports.
"""

from __future__ import annotations

import argparse
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["BadFileError", "Image", "main", "needed", "problems", "read_image"]

NEEDS: Final = Path(__file__).resolve().parent.parent / "Include/Bridge/Zmq.mqh"
SYSTEM: Final = frozenset({"advapi32", "iphlpapi", "kernel32", "msvcrt", "ws2_32"})
VERSION_MIN: Final = (4, 3, 4)
_I386: Final = 0x014C
_DLL: Final = 0x2000
_PE32: Final = 0x10B
_ASLR, _NX = 0x0040, 0x0100
_MANY: Final = 4096
_FIXED_INFO: Final = bytes.fromhex("bd04effe00000100")
_IMPORT_BLOCK: Final = re.compile(r'(?ms)^#import\s+"libzmq\.dll"\s*$(.*?)^#import\s*$')
_FUNCTION: Final = re.compile(r"(?m)^\s*\w+\s+(zmq_\w+)\s*\(")


class BadFileError(Exception):
    """The file is not what it should be; the text says why."""


class Image(NamedTuple):
    """What a PE file says about itself. `version` is the resource's, () without one."""

    machine: int
    magic: int
    flags: int
    guards: int
    imports: tuple[str, ...]
    exports: frozenset[str]
    version: tuple[int, ...]


class _File:
    """Bounded reads from the bytes of a PE file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._sections: list[tuple[int, int, int]] = []

    def unpack(self, shape: str, at: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(f"<{shape}", self._data, at)
        except struct.error:
            raise BadFileError(f"it ends before byte {at}: copy it again") from None

    def one(self, shape: str, at: int) -> int:
        return self.unpack(shape, at)[0]

    def add_sections(self, at: int, count: int) -> None:
        for number in range(count):
            size, begin, raw_size, raw = self.unpack("IIII", at + 40 * number + 8)
            self._sections.append((begin, max(size, raw_size), raw))

    def offset(self, address: int) -> int:
        """Return where an address of the loaded image lies in the file."""
        for begin, size, raw in self._sections:
            if begin <= address < begin + size:
                return raw + address - begin
        raise BadFileError(f"address {address:#x} lies in no section: the file is damaged")

    def text(self, address: int) -> str:
        at = self.offset(address)
        end = self._data.find(b"\0", at, at + 512)
        if end < 0:
            raise BadFileError("a name in it does not end: the file is damaged")
        return self._data[at:end].decode("latin-1")


def _import_names(file: _File, table: int) -> Iterator[str]:
    if not table:
        return
    at = file.offset(table)
    for number in range(_MANY):
        fields = file.unpack("IIIII", at + 20 * number)
        if not any(fields):
            return
        yield file.text(fields[3])
    raise BadFileError("its import table does not end: the file is damaged")


def _export_names(file: _File, table: int) -> Iterator[str]:
    if not table:
        return
    count, _functions, names = file.unpack("III", file.offset(table) + 24)
    if count > _MANY:
        raise BadFileError(f"it claims {count} exported names: the file is damaged")
    if not count:
        return
    at = file.offset(names)
    for number in range(count):
        yield file.text(file.one("I", at + 4 * number))


def _version(data: bytes) -> tuple[int, ...]:
    """Return the file version of VS_FIXEDFILEINFO."""
    at = data.find(_FIXED_INFO)
    if at < 0 or at + 16 > len(data):
        return ()
    minor, major, build, patch = struct.unpack_from("<HHHH", data, at + 8)
    return major, minor, patch, build


def read_image(data: bytes) -> Image:
    """Return what the file says about itself.

    Raises:
        BadFileError: no PE file, or a damaged one.
    """
    if data[:2] != b"MZ":
        raise BadFileError("it is no Windows program at all: download or build it again")
    file = _File(data)
    pe = file.one("I", 0x3C)
    if data[pe : pe + 4] != b"PE\0\0":
        raise BadFileError("it has no PE header: copy it again")
    machine, sections = file.unpack("HH", pe + 4)
    header_size, flags = file.unpack("HH", pe + 20)
    magic = file.one("H", pe + 24)
    file.add_sections(pe + 24 + header_size, sections)
    # PE32+ has wider fields before its directories.
    directories = pe + 24 + (96 if magic == _PE32 else 112)
    exports, imports, delayed = (file.one("I", directories + 8 * slot) for slot in (0, 1, 13))
    names = tuple(_import_names(file, imports))
    if delayed:
        names += ("a delay-load table",)
    return Image(
        machine=machine,
        magic=magic,
        flags=flags,
        guards=file.one("H", pe + 24 + 70),
        imports=names,
        exports=frozenset(_export_names(file, exports)),
        version=_version(data),
    )


def needed(header: str) -> tuple[str, ...]:
    """Return the functions that the EA imports from libzmq.dll.

    Raises:
        BadFileError: there is no such block.
    """
    block = _IMPORT_BLOCK.search(header.replace("\r\n", "\n"))
    names = tuple(_FUNCTION.findall(block[1])) if block else ()
    if not names:
        raise BadFileError(
            'no `#import "libzmq.dll"` block with functions: name Zmq.mqh with --needs'
        )
    return names


def problems(image: Image, needs: Sequence[str]) -> list[str]:
    """Return every reason why the terminal would not load it or should not."""
    if image.machine != _I386 or image.magic != _PE32:
        return ["it is not a 32-bit x86 file: MetaTrader 4 is a 32-bit program (its error 193)"]
    found = []
    if not image.flags & _DLL:
        found.append("it is a program, not a DLL")
    found += [
        f"it needs {name}, which Windows does not bring (the terminal's error 126)"
        for name in image.imports
        if name.lower().removesuffix(".dll") not in SYSTEM
    ]
    found += [f"it does not export {name}" for name in needs if name not in image.exports]
    if not image.version:
        found.append("it carries no version: build it with mql4/libzmq/build.py")
    elif image.version[:3] < VERSION_MIN:
        shown = ".".join(map(str, image.version[:3]))
        found.append(f"it is {shown}, and 4.3.4 is the least: build it with mql4/libzmq/build.py")
    if image.guards & (_ASLR | _NX) != _ASLR | _NX:
        found.append("it switches off address randomisation or data execution prevention")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Check one file; 0 it will load, 1 it will not, 2 it cannot be read."""
    parser = argparse.ArgumentParser(description="check a libzmq.dll for MetaTrader 4")
    parser.add_argument("dll", type=Path)
    parser.add_argument("--needs", type=Path, default=NEEDS, metavar="Zmq.mqh")
    args = parser.parse_args(words)
    try:
        needs = needed(args.needs.read_text("latin-1"))
        image = read_image(args.dll.read_bytes())
    except (BadFileError, OSError) as error:
        sys.stderr.write(f"{args.dll}: {error}\n")
        return 2
    found = problems(image, needs)
    for problem in found:
        sys.stdout.write(f"{args.dll}: {problem}\n")
    if found:
        return 1
    version = ".".join(map(str, image.version[:3]))
    sys.stdout.write(
        f"{args.dll}: libzmq {version}, 32-bit, imports {' '.join(sorted(image.imports))}, exports "
        f"all {len(needs)} functions that the EA uses (of {len(image.exports)})\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

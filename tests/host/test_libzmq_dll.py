"""mql4/libzmq: what the checker says of a libzmq.dll, on files made byte by byte here."""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "mql4/libzmq"
HEADER = """
#import "kernel32.dll"
uint GetTickCount();
#import "libzmq.dll"
void zmq_version(int &major,int &minor,int &patch);
int  zmq_has(const uchar &capability[]);
int  zmq_ctx_new();
#import
int zmq_not_imported() { return 0; }
"""
NEEDS = ("zmq_version", "zmq_has", "zmq_ctx_new")
SYSTEM = ("KERNEL32.dll", "WS2_32.dll", "msvcrt.dll", "ADVAPI32.dll", "IPHLPAPI.DLL")


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


check = _load("check_dll")
build = _load("build")


class Pe(NamedTuple):
    """A PE file to be made; the checker's own words for its parts."""

    imports: tuple[str, ...] = SYSTEM
    exports: tuple[str, ...] = (*NEEDS, "zmq_more")
    machine: int = 0x014C
    magic: int = 0x10B
    flags: int = 0x2102
    guards: int = 0x0140
    version: tuple[int, int, int] | None = (4, 3, 4)
    delayed: int = 0

    def data(self) -> bytes:
        """One section at RVA 0x1000, file offset 0x400."""
        section = bytearray()

        def put(piece: bytes) -> int:
            section.extend(piece)
            return 0x1000 + len(section) - len(piece)

        names = [put(name.encode() + b"\0") for name in self.imports]
        imports = put(b"".join(struct.pack("<5I", 1, 0, 0, at, 1) for at in names) + bytes(20))
        words = [put(name.encode() + b"\0") for name in self.exports]
        table = put(struct.pack(f"<{len(words)}I", *words))
        exports = put(bytes(24) + struct.pack("<4I", len(words), 0, table, 0))
        if self.version is not None:
            major, minor, patch = self.version
            put(bytes.fromhex("bd04effe00000100") + struct.pack("<HHHH", minor, major, 0, patch))
        wide = self.magic != 0x10B
        directories = [0] * 32
        directories[0], directories[2] = exports if self.exports else 0, imports
        directories[26] = self.delayed
        fixed = bytearray(112 if wide else 96)
        struct.pack_into("<H", fixed, 0, self.magic)
        struct.pack_into("<H", fixed, 70, self.guards)
        optional = bytes(fixed) + struct.pack("<32I", *directories)
        coff = struct.pack("<HHIIIHH", self.machine, 1, 0, 0, 0, len(optional), self.flags)
        row = b".all\0\0\0\0" + struct.pack("<4I", len(section), 0x1000, len(section), 0x400)
        head = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + coff + optional + row
        return head.ljust(0x400, b"\0") + bytes(section)


def _judged(pe: Pe) -> list[str]:
    found = check.problems(check.read_image(pe.data()), NEEDS)
    assert isinstance(found, list)
    return found


def test_a_file_as_it_should_be_has_no_problem() -> None:
    image = check.read_image(Pe().data())
    assert image.imports == SYSTEM
    assert image.exports == {*NEEDS, "zmq_more"}
    assert image.version == (4, 3, 4, 0)
    assert _judged(Pe()) == []


@pytest.mark.parametrize(
    ("pe", "says"),
    [
        (Pe(machine=0x8664, magic=0x20B), "error 193"),
        (Pe(machine=0xAA64, magic=0x20B), "error 193"),
        (Pe(flags=0x0102), "not a DLL"),
        (Pe(imports=(*SYSTEM, "libsodium.dll")), "libsodium.dll"),
        (Pe(imports=(*SYSTEM, "MSVCP140.dll")), "error 126"),
        (Pe(imports=(*SYSTEM, "libwinpthread-1.dll")), "libwinpthread-1.dll"),
        (Pe(imports=(*SYSTEM, "libgcc_s_dw2-1.dll")), "libgcc_s_dw2-1.dll"),
        (Pe(delayed=0x1000), "delay-load"),
        (Pe(exports=NEEDS[:-1]), "does not export zmq_ctx_new"),
        (Pe(exports=()), "does not export zmq_version"),
        (Pe(version=(4, 3, 3)), "4.3.3"),
        (Pe(version=(4, 2, 5)), "4.3.4 is the least"),
        (Pe(version=None), "no version"),
        (Pe(guards=0x0100), "address randomisation"),
        (Pe(guards=0x0040), "data execution prevention"),
    ],
)
def test_each_reason_why_the_terminal_would_not_load_it_is_named(pe: Pe, says: str) -> None:
    found = _judged(pe)
    assert found
    assert says in " ".join(found)


def test_a_newer_version_and_another_case_of_a_system_name_are_fine() -> None:
    names = tuple(name.swapcase() for name in SYSTEM)
    assert _judged(Pe(imports=names, version=(4, 10, 0))) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no Windows program"),
        (b"\x7fELF" + bytes(100), "no Windows program"),
        (b"MZ", "ends before"),
        (b"MZ" + bytes(58) + struct.pack("<I", 64) + b"NE\0\0", "no PE header"),
        (Pe().data()[:0x120], "ends before"),
    ],
)
def test_what_is_no_whole_pe_file_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(check.BadFileError, match=says):
        check.read_image(data)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_damage_is_refused_or_read_but_never_crashes(at: int, junk: bytes) -> None:
    data = bytearray(Pe().data())
    data[at : at + len(junk)] = junk
    try:
        check.problems(check.read_image(bytes(data)), NEEDS)
    except check.BadFileError:
        return


def test_what_the_ea_needs_is_read_from_its_import_block_alone() -> None:
    assert check.needed(HEADER) == NEEDS
    assert check.needed(HEADER.replace("\n", "\r\n")) == NEEDS


@pytest.mark.parametrize(
    "text", ["", "int zmq_x();", '#import "other.dll"\nint zmq_x();\n#import\n']
)
def test_a_header_without_the_block_is_refused(text: str) -> None:
    with pytest.raises(check.BadFileError, match="--needs"):
        check.needed(text)


def _run(tmp_path: Path, data: bytes) -> subprocess.CompletedProcess[str]:
    (tmp_path / "libzmq.dll").write_bytes(data)
    (tmp_path / "Zmq.mqh").write_text(HEADER)
    words = [str(tmp_path / "libzmq.dll"), "--needs", str(tmp_path / "Zmq.mqh")]
    return subprocess.run(
        [sys.executable, "-I", FOLDER / "check_dll.py", *words],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_command_says_good_bad_or_unreadable_with_its_exit_code(tmp_path: Path) -> None:
    good = _run(tmp_path, Pe().data())
    assert (good.returncode, good.stderr) == (0, "")
    assert "libzmq 4.3.4, 32-bit" in good.stdout
    assert "all 3 functions" in good.stdout
    bad = _run(tmp_path, Pe(imports=("libsodium.dll",)).data())
    assert (bad.returncode, bad.stderr) == (1, "")
    assert "libsodium.dll" in bad.stdout
    broken = _run(tmp_path, b"MZ")
    assert (broken.returncode, broken.stdout) == (2, "")


# --- the build ---------------------------------------------------------------------------------


def test_missing_tools_are_named_in_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.BuildError) as caught:
        build.check_tools()
    assert "apt-get install" in str(caught.value)
    assert "g++-mingw-w64-i686-posix" in str(caught.value)
    assert build.main(["--work", str(tmp_path / "work")]) == 1
    assert not (tmp_path / "work").exists()


def test_a_failed_step_ends_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    words = [sys.executable, "-c", "import sys; print('why it failed'); sys.exit(3)"]
    with pytest.raises(build.BuildError, match="why it failed"):
        build._run(words, cwd=tmp_path, log=log)
    build._run([sys.executable, "-c", "print('fine')"], cwd=tmp_path, log=log)
    assert "fine" in log.read_text()


def test_the_version_is_read_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include/zmq.h").write_text(
        "#define ZMQ_VERSION_MAJOR 4\n#define ZMQ_VERSION_MINOR 3\n#define ZMQ_VERSION_PATCH 5\n"
    )
    assert build._version(tmp_path) == (4, 3, 5)

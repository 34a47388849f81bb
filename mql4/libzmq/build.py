"""Builds the 32-bit libzmq.dll for MetaTrader 4 from Debian's own source packages.

    python3 mql4/libzmq/build.py [--work DIR]

Needs Debian or Ubuntu and, once, as root:

    apt-get install g++-mingw-w64-i686-posix cmake make pkg-config dpkg-dev
    apt-get install autoconf automake libtool

apt fetches `zeromq3` and `libsodium` and verifies them against the archive's signature; nothing is
installed and no setting of this machine's apt is changed. The result is `libzmq.dll` in the work
folder (build/libzmq), checked by check_dll.py, with its SHA-256. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

__all__ = ["main"]

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
HOST: Final = "i686-w64-mingw32"
# The threads of the `posix` flavour are what libzmq's <mutex> needs; all of it is linked in.
GCC: Final = f"{HOST}-gcc-posix"
GXX: Final = f"{HOST}-g++-posix"
TOOLS: Final = {
    GCC: "g++-mingw-w64-i686-posix", GXX: "g++-mingw-w64-i686-posix",
    f"{HOST}-strip": "binutils-mingw-w64-i686", f"{HOST}-windres": "binutils-mingw-w64-i686",
    "cmake": "cmake", "make": "make", "pkg-config": "pkg-config", "dpkg-source": "dpkg-dev",
    "apt-get": "apt", "autoreconf": "autoconf", "automake": "automake", "libtoolize": "libtool",
}  # fmt: skip
KEYRINGS: Final = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
)
SOURCES: Final = ("zeromq3", "libsodium")
VERSION_MIN: Final = (4, 3, 4)
# Windows 7 and later; MetaTrader 4 asks for no less.
WINDOWS: Final = "0x0601"


class BuildError(Exception):
    """The text is one sentence that names the fix."""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _run(
    words: Sequence[str | Path], *, cwd: Path, log: Path, env: Mapping[str, str] | None = None
) -> None:
    """Run a command to its end; its output goes to the log.

    Raises:
        BuildError: it failed; names the log.
    """
    with log.open("ab") as file:
        file.write(f"\n$ {' '.join(map(str, words))}\n".encode())
        file.flush()
        done = subprocess.run(  # noqa: S603  (fixed words, no shell)
            [str(word) for word in words],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        tail = log.read_text("utf-8", "replace").splitlines()[-15:]
        raise BuildError("\n".join([*tail, f"{words[0]} failed: read {log}"]))


def check_tools() -> None:
    """Refuse early when a tool is missing.

    Raises:
        BuildError: names every missing package in one command.
    """
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        raise BuildError(f"tools are missing: run `apt-get install {' '.join(missing)}` as root")


# --- sources -------------------------------------------------------------------------------


def _source_lines(log: Path) -> list[str]:
    """Return deb-src lines for the archives that this machine's apt already trusts."""
    keyring = next((path for path in KEYRINGS if path.is_file()), None)
    if keyring is None:
        raise BuildError(f"none of {' '.join(map(str, KEYRINGS))} is here: use Debian or Ubuntu")
    shape = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(ORIGIN)"
    told = subprocess.run(  # noqa: S603
        ["apt-get", "indextargets", "--format", shape, "Created-By: Packages"],  # noqa: S607
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    log.write_text(told.stdout + told.stderr, "utf-8")
    found = {
        (uri.rstrip("/"), release)
        for uri, release, component, origin in (
            line.split("\t") for line in told.stdout.splitlines() if line.count("\t") == 3
        )
        if component == "main" and origin in ("Debian", "Ubuntu")
    }
    if not found:
        raise BuildError("apt knows no archive of Debian or Ubuntu: run `apt-get update` as root")
    return [f"deb-src [signed-by={keyring}] {uri} {release} main" for uri, release in sorted(found)]


def fetch_sources(work: Path, log: Path) -> dict[str, Path]:
    """Fetch and unpack the source packages by apt, with an apt configuration of our own.

    Raises:
        BuildError: not to be had, or not signed by the archive.
    """
    apt = work / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    sources = apt / "sources.list"
    sources.write_text("\n".join(_source_lines(log)) + "\n", "utf-8")
    options = [
        f"Dir::Etc::sourcelist={sources}", "Dir::Etc::sourceparts=-",
        f"Dir::State::lists={apt / 'lists'}", f"Dir::Cache={apt / 'cache'}",
        "Acquire::AllowInsecureRepositories=false", "APT::Get::AllowUnauthenticated=false",
        "APT::Update::Error-Mode=any",
    ]  # fmt: skip
    command: list[str | Path] = ["apt-get"]
    for option in options:
        command += ["-o", option]
    _run([*command, "update"], cwd=work, log=log)
    folder = work / "source"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _run([*command, "source", *SOURCES], cwd=folder, log=log)
    found = {name: _only(folder, name.rstrip("3")) for name in SOURCES}
    version = _version(found["zeromq3"])
    if version < VERSION_MIN:
        raise BuildError(
            f"this release has zeromq3 {'.'.join(map(str, version))}: use one with 4.3.4 or later"
        )
    return found


def _only(folder: Path, stem: str) -> Path:
    found = [path for path in folder.glob(f"{stem}*") if path.is_dir()]
    if len(found) != 1:
        raise BuildError(f"{folder} does not hold one {stem} source tree: remove it and run again")
    return found[0]


def _version(tree: Path) -> tuple[int, ...]:
    text = (tree / "include/zmq.h").read_text("utf-8")
    names = ("MAJOR", "MINOR", "PATCH")
    found = [re.search(rf"#define ZMQ_VERSION_{name} (\d+)", text) for name in names]
    return tuple(int(one[1]) if one else 0 for one in found)


def _epoch(tree: Path) -> str:
    """Return the time of the package's last change: no clock of this machine gets in."""
    told = subprocess.run(
        ["dpkg-parsechangelog", "-S", "Timestamp"],  # noqa: S607
        cwd=tree, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return told.stdout.strip()


# --- building ------------------------------------------------------------------------------


def _flags(work: Path) -> str:
    # MetaTrader calls with a stack aligned to 4 bytes only: -mstackrealign.
    return f"-O2 -mstackrealign -fno-stack-protector -ffile-prefix-map={work}=."


def build_libsodium(tree: Path, work: Path, log: Path) -> Path:
    """Build the static library; return the folder it is installed in."""
    prefix = work / "sodium"
    env = {"CFLAGS": _flags(work), "SOURCE_DATE_EPOCH": _epoch(tree)}
    configure = [
        "./configure", f"--host={HOST}", f"CC={GCC}", f"--prefix={prefix}", "--disable-shared",
        "--enable-static", "--disable-ssp", "--disable-pie", "--disable-dependency-tracking",
    ]  # fmt: skip
    _run(["autoreconf", "--force", "--install"], cwd=tree, log=log)
    _run(configure, cwd=tree, log=log, env=env)
    for target in ("all", "install"):
        _run(["make", f"-j{os.cpu_count() or 1}", target], cwd=tree, log=log, env=env)
    return prefix


def build_libzmq(tree: Path, sodium: Path, work: Path, log: Path) -> Path:
    """Build and strip the DLL; return its path."""
    build = work / "libzmq-build"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    pin = build / "pin.o"
    flags = _flags(work)
    _run([GCC, *flags.split(), "-Wall", "-Werror", f"-D_WIN32_WINNT={WINDOWS}", "-c",
          HERE / "pin.c", "-o", pin], cwd=build, log=log)  # fmt: skip
    link = f"-static -s -Wl,--no-insert-timestamp -Wl,--nxcompat -Wl,--dynamicbase {pin}"
    settings = {
        "CMAKE_SYSTEM_NAME": "Windows",
        "CMAKE_SYSTEM_PROCESSOR": "x86",
        "CMAKE_C_COMPILER": GCC,
        "CMAKE_CXX_COMPILER": GXX,
        "CMAKE_RC_COMPILER": f"{HOST}-windres",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_C_FLAGS": flags,
        "CMAKE_CXX_FLAGS": flags,
        "CMAKE_SHARED_LINKER_FLAGS": link,
        "BUILD_SHARED": "ON",
        "BUILD_STATIC": "OFF",
        "BUILD_TESTS": "OFF",
        "WITH_PERF_TOOL": "OFF",
        "WITH_DOCS": "OFF",
        "ENABLE_CPACK": "OFF",
        "ENABLE_CURVE": "ON",
        "WITH_LIBSODIUM": "ON",
        "WITH_LIBSODIUM_STATIC": "ON",
        "SODIUM_INCLUDE_DIRS": str(sodium / "include"),
        "SODIUM_LIBRARIES": str(sodium / "lib/libsodium.a"),
        "ZMQ_WIN32_WINNT": WINDOWS,
        # std::condition_variable would pull winpthreads into the wait path.
        "ZMQ_CV_IMPL": "win32api",
        "ZMQ_HAVE_IPC": "OFF",
    }
    env = {
        "SOURCE_DATE_EPOCH": _epoch(tree),
        # This machine's own libsodium is not the one that is meant.
        "PKG_CONFIG_LIBDIR": str(sodium / "lib/pkgconfig"),
    }
    words = [f"-D{name}={value}" for name, value in settings.items()]
    _run(["cmake", *words, tree], cwd=build, log=log, env=env)
    _run(["make", f"-j{os.cpu_count() or 1}", "libzmq"], cwd=build, log=log, env=env)
    made = next(build.rglob("libzmq*.dll"), None)
    if made is None:
        raise BuildError(f"the build left no DLL: read {log}")
    target = work / "libzmq.dll"
    shutil.copyfile(made, target)
    _run([f"{HOST}-strip", "--strip-all", "--preserve-dates", target], cwd=work, log=log)
    return target


def build(work: Path) -> Path:
    """Return the finished, checked DLL.

    Raises:
        BuildError: a step failed; names the log.
    """
    check_tools()
    work.mkdir(parents=True, exist_ok=True)
    log = work / "build.log"
    _say("fetching zeromq3 and libsodium by apt ...")
    trees = fetch_sources(work, log)
    _say(f"building {trees['libsodium'].name} ...")
    sodium = build_libsodium(trees["libsodium"], work, log)
    _say(f"building {trees['zeromq3'].name} ...")
    dll = build_libzmq(trees["zeromq3"], sodium, work, log)
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(HERE / "check_dll.py"), str(dll)], check=False
    )
    if done.returncode:
        dll.unlink()
        raise BuildError("the DLL did not pass the check above and was removed")
    return dll


def main(words: Sequence[str] | None = None) -> int:
    """Build it and print where it is."""
    parser = argparse.ArgumentParser(description="build a 32-bit libzmq.dll for MetaTrader 4")
    parser.add_argument("--work", type=Path, default=ROOT / "build/libzmq", metavar="DIR")
    args = parser.parse_args(words)
    try:
        dll = build(args.work.resolve())
    except (BuildError, OSError) as error:
        _say(f"error: {error}")
        return 1
    digest = hashlib.sha256(dll.read_bytes()).hexdigest()
    sys.stdout.write(f"{digest}  {dll}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

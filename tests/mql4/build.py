"""From an MQL4 main file to a terminal with that program in it, cached by content.

    python -m tests.mql4.build       # `make ea-build`: what most tests need, before they need it

`build` translates the source, compiles it with every warning as an error, and links it with the
run-time, the built-ins and the terminal, which are compiled once for each variant. Everything lies
under build/ea (git-ignored) in folders named by a hash of what went in, so that a second call, or
another test process, finds it done.

The environment variable ZTB_MQL4 names a copy of mql4/ to be built in its place, for tests of the
tests (hunt.py); what is made of it then lies beside that copy.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from tests.mql4.check import include_dirs, show
from tests.mql4.diagnostics import Message, compile_unit
from tests.mql4.libraries import import_findings
from tests.mql4.toolchain import HARNESS, MISSING, SANITIZE, compiler, zmq_header
from tests.mql4.translator.translate import translate

__all__ = ["COPY", "ROOT", "BuildError", "build", "main", "missing"]

ROOT: Final = Path(__file__).resolve().parents[2]
COPY: Final = "ZTB_MQL4"
CACHE: Final = ROOT / "build" / "ea"
PARTS: Final = ("runtime", "builtins", "simulator")
_FIXED: Final = ("-std=c++17", "-fsigned-char", "-Wall", "-Wextra", "-Werror", "-Wshadow")
_PLAIN: Final = ("-O1", "-g1")
# What runs the program's own memory accesses; the terminal around it is the same in both variants.
_WATCHED: Final = ("runtime", "builtins")
_SANITIZED: Final = ("-O0", *SANITIZE)
_JOBS: Final = os.cpu_count() or 2
_TIMEOUT_S: Final = 1_200
# What takes long to compile and many tests start; the rest is built where it is needed.
_COMMON: Final = (
    ("Experts/BridgeEA.mq4", True), ("programs/trade_main.mq4", True),
    ("programs/core_main.mq4", True), ("programs/core_main.mq4", False),
    ("programs/Desk.mq4", False),
)  # fmt: skip


class _Built(NamedTuple):
    """A program of this process, and what it was made of."""

    files: tuple[Path, ...]
    digest: str
    program: Path


_built: dict[tuple[Path, bool, tuple[Path, ...]], _Built] = {}


class BuildError(Exception):
    """The program does not build: one message a line, each with its .mq4 line."""


def missing() -> str:
    """What has to be installed before anything can be built; "" if nothing."""
    return "" if compiler() is not None and zmq_header() else MISSING


def build(source: Path | str, *, sanitize: bool = True, include: Sequence[Path] = ()) -> Path:
    """Return the executable of a program in its terminal.

    Args:
        source: the main file; a relative path is looked up in mql4/ first, then in tests/mql4.
        sanitize: with AddressSanitizer and UndefinedBehaviorSanitizer.
        include: folders where `#include <...>` is looked up before mql4/Include.

    Raises:
        BuildError: the source has findings, or something needed is not installed.
        OSError: the source cannot be read.
    """
    if missing():
        raise BuildError(missing())
    path = _resolve(Path(source))
    # Not before the program's own folders, unless all is built from a copy.
    copy = [_mql4() / "Include"] if os.environ.get(COPY) else []
    looked_up = tuple(include_dirs(path, [*include, *copy]))
    known = (path.resolve(), sanitize, looked_up)
    held = _built.get(known)
    # A test starts its terminal again and again; to translate the source takes half a second.
    if held and held.program.exists() and held.digest == _contents(held.files):
        return held.program
    made = translate(path, looked_up)
    if made.findings:
        found = [Message(f.where.path, f.where.line, f.code, f.message) for f in made.findings]
        raise BuildError("\n".join(show(each) for each in found))
    if found := import_findings(made.unit()):
        raise BuildError("\n".join(show(each) for each in found))
    # What a copy did not change is the same text, and is built already: of the lines' places only
    # the folder differs.
    unit = made.unit().replace(f'"{_mql4()}/', f'"{ROOT / "mql4"}/')
    program = _program(unit, _SANITIZED if sanitize else _PLAIN)
    _built[known] = _Built(tuple(made.files), _contents(made.files), program)
    return program


def _program(unit: str, options: Sequence[str]) -> Path:
    with _only_one("parts"):
        parts = _fixed_parts(options)
    name = f"program-{_digest(unit, *options, *(part.name for part in parts))}"
    program = CACHE / name / "terminal"
    # What is built of a changed copy goes away with it.
    if os.environ.get(COPY) and not program.exists():
        program = _mql4().parent / "built" / name / "terminal"
    with _only_one(name):
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            _compile_program(unit, program.parent, options)
            _link(program.parent / "unit.o", parts, program, options)
    return program


def _contents(files: Iterable[Path]) -> str:
    """What a build depends on: the program's files and the harness's own."""
    whole = hashlib.sha256(_headers().encode())
    for path in (*files, *_sources()):
        whole.update(path.read_bytes() if path.exists() else b"gone")
    return whole.hexdigest()


def _mql4() -> Path:
    return Path(os.environ.get(COPY) or ROOT / "mql4").resolve()


def _resolve(source: Path) -> Path:
    for root in (_mql4(), HARNESS, Path.cwd()):
        if (root / source).is_file():
            return root / source
    return source


def _compile_program(unit: str, folder: Path, options: Sequence[str]) -> None:
    # -O1 and not -O0: the compiler's flow analysis is part of the check.
    messages = compile_unit(unit, folder, ("-fsigned-char", *options), _TIMEOUT_S)
    if messages:
        raise BuildError("\n".join(show(each) for each in messages))


def _link(unit: Path, parts: Sequence[Path], program: Path, options: Sequence[str]) -> None:
    fresh = program.with_name(f"terminal.{os.getpid()}")
    _run([*_tool(), *options, "-o", fresh, unit, *parts, "-lzmq", "-pthread"])
    fresh.replace(program)
    unit.unlink()  # large, and linked


def _fixed_parts(options: Sequence[str]) -> list[Path]:
    """Compile what changed of the run-time, the built-ins and the terminal; return the objects."""
    folder = CACHE / "parts"
    folder.mkdir(parents=True, exist_ok=True)

    def one(path: Path) -> Path:
        chosen = options if path.parent.name in _WATCHED else _PLAIN
        key = _digest(path.read_text("utf-8"), _headers(), _version(), *chosen)
        to = folder / f"{path.parent.name}-{path.stem}-{key}.o"
        if not to.exists():
            fresh = to.with_suffix(f".{os.getpid()}")
            _run([*_tool(), *_FIXED, *chosen, f"-I{HARNESS}", "-c", path, "-o", fresh])
            fresh.replace(to)
        return to

    with ThreadPoolExecutor(_JOBS) as pool:
        return list(pool.map(one, _sources()))


def _sources() -> list[Path]:
    return [path for part in PARTS for path in sorted((HARNESS / part).glob("*.cpp"))]


@cache
def _headers() -> str:
    paths = sorted(path for part in PARTS for path in (HARNESS / part).glob("*.hpp"))
    return "".join(f"{path.name}\0{path.read_text('utf-8')}\0" for path in paths)


@cache
def _version() -> str:
    made = subprocess.run([*_tool(), "--version"], capture_output=True, text=True, check=True)
    return made.stdout


def _tool() -> list[str]:
    command = compiler()
    if command is None:
        raise BuildError(MISSING)
    return ["nice", "-n", "5", command]


def _run(command: Sequence[str | Path]) -> None:
    made = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if made.returncode:
        raise BuildError(made.stderr[-4000:])


def _digest(*texts: str) -> str:
    whole = hashlib.sha256()
    for text in texts:
        whole.update(text.encode() + b"\0")
    return whole.hexdigest()[:16]


@contextmanager
def _only_one(name: str) -> Iterator[None]:
    import fcntl  # not on every platform; where it is not, nothing is built

    # Several test processes want the same program at the same moment: one makes it.
    (CACHE / "locks").mkdir(parents=True, exist_ok=True)
    with (CACHE / "locks" / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Build what most tests start; 0 also where nothing can be built, since tests say so."""
    if why := missing():
        print(f"skipped: EA source ({why})", file=sys.stderr)
        return 0
    begun = time.monotonic()
    try:
        with ThreadPoolExecutor(_JOBS) as pool:
            programs = list(pool.map(lambda one: build(one[0], sanitize=one[1]), _COMMON))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(programs)} programs built in {time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a wheel of MetaTrader5 says of itself, read without running any of it.

    python -m tests.mt5.wheel               the newest for Windows, fetched by pip into build/mt5
    python -m tests.mt5.wheel FILE.whl      one that is here already

Its constants, functions and record classes are compared with facts.json, by which the stand-in is
made; exit code 1 and a list of what differs if they are not the same.
"""

from __future__ import annotations

import ast
import hashlib
import operator
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.fake_metatrader5.facts import FACTS

__all__ = ["Wheel", "differences", "main", "read_wheel"]

ROOT: Final = Path(__file__).resolve().parents[2]
_INIT: Final = "MetaTrader5/__init__.py"
_OPERATORS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.BitOr: operator.or_, ast.Add: operator.add, ast.LShift: operator.lshift,
}  # fmt: skip


class Wheel(NamedTuple):
    """What could be read: the Python part by its syntax, the compiled part by its texts."""

    constants: dict[str, int]
    words: dict[str, str]  # __version__, __author__
    helpers: list[str]
    init_sha256: str
    core: bytes


def read_wheel(path: Path) -> Wheel:
    """Read a wheel.

    Raises:
        ValueError: it is not built as the ones we know.
    """
    with zipfile.ZipFile(path) as wheel:
        init = wheel.read(_INIT)
        cores = [name for name in wheel.namelist() if name.endswith(".pyd")]
        if len(cores) != 1:
            raise ValueError(f"{path.name}: one compiled part was expected, not {cores}")
        core = wheel.read(cores[0])
    constants: dict[str, int] = {}
    words: dict[str, str] = {}
    helpers: list[str] = []
    for node in ast.parse(init).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found = _value(value, constants)
                if isinstance(found, str):
                    words[name] = found
                else:
                    constants[name] = found
            case ast.FunctionDef(name=name) if not name.startswith("_"):
                helpers.append(name)
    return Wheel(constants, words, helpers, hashlib.sha256(init).hexdigest(), core)


def _value(node: ast.expr, known: dict[str, int]) -> int | str:
    match node:
        case ast.Constant(value=int() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_number(inner, known)
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_number(left, known), _number(right, known))
    raise ValueError(f"line {node.lineno}: {ast.unparse(node)} is no constant")


def _number(node: ast.expr, known: dict[str, int]) -> int:
    value = _value(node, known)
    if isinstance(value, int):
        return value
    raise ValueError(f"line {node.lineno}: {value!r} is no number")


def differences(wheel: Wheel) -> Iterator[str]:
    """Yield what a wheel has that facts.json has not, or has otherwise."""
    yield from _compare("version", FACTS.version, wheel.words.get("__version__"))
    yield from _compare("author", FACTS.author, wheel.words.get("__author__"))
    yield from _compare("sha256 of __init__.py", FACTS.init_py_sha256, wheel.init_sha256)
    yield from _compare("helpers", sorted(FACTS.helpers), sorted(wheel.helpers))
    for name in sorted(FACTS.constants.keys() | wheel.constants.keys()):
        yield from _compare(name, FACTS.constants.get(name), wheel.constants.get(name))
    # Names and texts of the compiled part stand in it with a zero behind.
    for name in (*FACTS.functions, *FACTS.records):
        if not _holds(wheel.core, name):
            yield f"{name}: the wheel does not know it"
    for name, fields in FACTS.records.items():
        for field, _ in fields:
            if not _holds(wheel.core, field):
                yield f"{name}.{field}: the wheel does not know it"
    for code, text in FACTS.errors.items():
        if not _holds(wheel.core, text.partition("<")[0].rstrip(), ended=False):
            yield f"error {code}: the wheel does not say {text!r}"


def _compare(what: str, ours: object, theirs: object) -> Iterator[str]:
    if ours != theirs:
        yield f"{what}: facts.json has {ours!r}, the wheel {theirs!r}"


def _holds(core: bytes, text: str, *, ended: bool = True) -> bool:
    return text.encode() + (b"\0" if ended else b"") in core


def _fetched() -> Path:
    """Fetch the newest wheel as pip is configured here; return its file."""
    folder = ROOT / "build" / "mt5"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    words: list[Any] = [
        sys.executable, "-m", "pip", "download", "-q", "MetaTrader5", "--platform", "win_amd64",
        "--only-binary=:all:", "--no-deps", "--python-version", "3.11", "-d", folder,
    ]  # fmt: skip
    subprocess.run(words, check=True)
    return next(folder.glob("*.whl"))


def main(words: list[str]) -> int:
    """Compare one wheel, and say what differs."""
    path = Path(words[0]) if words else _fetched()
    found = list(differences(read_wheel(path)))
    for line in found:
        print(line)
    print(f"{path.name}: {len(found) or 'no'} difference{'' if len(found) == 1 else 's'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

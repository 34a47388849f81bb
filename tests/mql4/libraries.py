"""What a program imports from DLLs, held against what the harness's DLLs take.

The linker knows names only: a string where libzmq wants bytes, or a 64-bit handle, would link here
and crash a terminal.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from tests.mql4.diagnostics import Message
from tests.mql4.toolchain import HARNESS

__all__ = ["import_findings"]

_FUNCTION: Final = r"(?P<result>\w+) mqldll_(?P<library>\w+?)__(?P<name>\w+)\((?P<params>[^)]*)\)"
_IMPORTED: Final = re.compile(rf'extern "C" {_FUNCTION};')
_OFFERED: Final = re.compile(rf"^{_FUNCTION} \{{", re.MULTILINE)
_LINE: Final = re.compile(r'^#line (?P<line>\d+) "(?P<path>[^"]*)"', re.MULTILINE)
_WORDS: Final = {"MqlBuf": "array", "const char16_t *": "string"}


def import_findings(unit: str) -> list[Message]:
    """One message for each import of a translated unit that the real DLL would not take."""
    found = []
    for match in _IMPORTED.finditer(unit):
        name = f"{match['library']}.dll {match['name']}"
        wanted = _offered().get((match["library"], match["name"]))
        given = _types(match["params"])
        if wanted is None:
            found.append(_at(unit, match.start(), f"{name}: the harness has no such function"))
        elif (match["result"], given) != wanted:
            text = f"{name}: declared {_shown(match['result'], given)}, it is {_shown(*wanted)}"
            found.append(_at(unit, match.start(), text))
    return found


@cache
def _offered() -> dict[tuple[str, str], tuple[str, tuple[str, ...]]]:
    text = "".join(
        path.read_text("utf-8") for path in sorted((HARNESS / "simulator").glob("*_shim.cpp"))
    )
    return {
        (each["library"], each["name"]): (each["result"], _types(each["params"]))
        for each in _OFFERED.finditer(text)
    }


def _types(params: str) -> tuple[str, ...]:
    # The shim names its parameters, the import does not.
    found = []
    for each in params.split(","):
        match = re.match(r"\s*((?:const )?\w+(?: \*)?)", each)
        if match is not None:
            found.append(match[1])
    return tuple(found)


def _shown(result: str, types: tuple[str, ...]) -> str:
    return f"{result} ({', '.join(_WORDS.get(each, each) for each in types)})"


def _at(unit: str, offset: int, text: str) -> Message:
    before = list(_LINE.finditer(unit, 0, offset + 1))
    if not before:
        return Message("unit.cpp", 0, "import", text)
    last = before[-1]
    line = int(last["line"]) + unit.count("\n", last.end() + 1, offset)
    return Message(last["path"], line, "import", text)

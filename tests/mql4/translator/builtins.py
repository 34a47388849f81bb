"""What the harness offers of MQL4's built-ins, read from the headers that declare it.

The headers are the reviewed whitelist: a built-in is used if and only if it is declared at the
beginning of a line in runtime/*.hpp or builtins/*.hpp.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["HARNESS", "Builtins"]

HARNESS: Final = Path(__file__).resolve().parents[1]
COMMENTS: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
FUNCTION: Final = re.compile(
    r"^(?:\[\[nodiscard\]\]\s*)?(?:template\s*<[^>]*>\s*)?(?:\[\[nodiscard\]\]\s*)?"
    r"(?:inline\s+|constexpr\s+|static\s+)*"
    r"[A-Za-z_][\w:<>, ]*?[\s&*]+(?P<name>[A-Za-z_]\w*)\s*\((?P<params>[^;{]*?)\)\s*[;{]",
    re.MULTILINE,
)
TYPE: Final = re.compile(r"^(?:struct|class|enum)\s+(\w+)|^using\s+(\w+)", re.MULTILINE)
# docs.mql4.com/constants/structures; other Mql... names are the run-time's own
STRUCTURES: Final = frozenset({"MqlTick", "MqlDateTime", "MqlRates"})
ENUM: Final = re.compile(r"^enum\b[^{;]*\{(?P<values>[^}]*)\}", re.MULTILINE)
CONSTANT: Final = re.compile(r"^constexpr\s[^=;(]*?(\w+)\s*=", re.MULTILINE)
WORD: Final = re.compile(r"\b[A-Za-z_]\w*\b")


class Builtins(NamedTuple):
    """Names: functions, types, constants (enumerators and constexpr)."""

    functions: frozenset[str]
    types: frozenset[str]
    constants: frozenset[str]
    # Functions with a parameter `T &x` that is not const: position -> variable needed.
    out_params: dict[str, frozenset[int]]

    @classmethod
    @cache
    def of_harness(cls) -> Builtins:
        """Those of this tree."""
        return cls.read(sorted([*HARNESS.glob("runtime/*.hpp"), *HARNESS.glob("builtins/*.hpp")]))

    @classmethod
    def read(cls, headers: list[Path]) -> Builtins:
        """Those that the headers declare."""
        text = "\n".join(COMMENTS.sub("", path.read_text("utf-8")) for path in headers)
        functions: dict[str, frozenset[int]] = {}
        for match in FUNCTION.finditer(text):
            name = match["name"]
            if name.startswith(("mql", "operator", "_")) or "operator" in match[0].split("(")[0]:
                continue
            outs = {at for at, param in enumerate(match["params"].split(",")) if _is_out(param)}
            functions[name] = functions.get(name, frozenset(outs)) & frozenset(outs)
        types = {one or other for one, other in TYPE.findall(text)}
        types = {name for name in types if not name.startswith(("Mql", "Lv")) or name in STRUCTURES}
        values = " ".join(match["values"] for match in ENUM.finditer(text))
        constants = frozenset([*WORD.findall(values), *CONSTANT.findall(text)])
        return cls(frozenset(functions), frozenset(types), constants, functions)


def _is_out(param: str) -> bool:
    """Whether a parameter needs a variable."""
    return "&" in param and "const" not in param and "..." not in param

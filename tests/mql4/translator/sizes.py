"""How many bytes a variable takes on the stack of the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tests.mql4.translator.shapes import Shapes
from tests.mql4.translator.tokens import Token
from tests.mql4.translator.tree import Variables

__all__ = ["Sizes", "constant"]

BYTES: Final = {
    "bool": 1, "char": 1, "uchar": 1, "short": 2, "ushort": 2, "long": 8, "ulong": 8, "double": 8,
    "datetime": 8, "string": 12,
}  # fmt: skip
# int, uint, float, color, enumerations; and what a dynamic array at least takes
BYTES_DEFAULT: Final = 4
ARITHMETIC: Final = re.compile(r"(?:0[xX][0-9A-Fa-f]+|\d+|[-+*/()%]|<<|>>|\s)+")


def constant(tokens: Sequence[Token]) -> int:
    """The value of a constant expression of plain numbers; 1 if it is any other."""
    text = " ".join(re.sub(r"^0+(?=\d)", "", token.text) for token in tokens)
    if not ARITHMETIC.fullmatch(text):
        return 1
    try:
        return int(eval(text.replace("/", "//"), {"__builtins__": {}}))
    except (SyntaxError, TypeError, ZeroDivisionError, ValueError):
        return 1


class Sizes:
    """Sizes of one program's types."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.known: dict[str, int] = dict(BYTES)

    def array(self, word: str, dims: Sequence[Sequence[Token]]) -> int:
        """Bytes of a variable or array of this type; a dynamic one lies elsewhere."""
        if dims and not dims[0]:
            return BYTES_DEFAULT
        size = self.of(word)
        for dimension in dims:
            size *= max(constant(dimension), 1)
        return size

    def of(self, word: str) -> int:
        """Bytes of a type."""
        if word not in self.known:
            self.known[word] = BYTES_DEFAULT  # also while a wrong record holds itself
            record = self.shapes.records.get(word)
            if record is not None:
                base = self.of(record.base) if record.base else 0
                self.known[word] = base + sum(
                    self.array(member.type, name.dims)
                    for member in record.members
                    if isinstance(member, Variables) and "static" not in member.storage
                    for name in member.names
                )
        return self.known[word]

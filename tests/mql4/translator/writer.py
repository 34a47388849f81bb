"""Text of the C++ unit; every piece is put under the line of the source it came from."""

from __future__ import annotations

from typing import Final

from tests.mql4.translator.tokens import NOWHERE, Where

__all__ = ["GENERATED", "Writer"]

# What no source line stands for.
GENERATED: Final = Where("generated", 1)
# So many lines further down are new lines, more are a `#line`.
NEAR: Final = 4


class Writer:
    """Collects the unit."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.here = NOWHERE

    def put(self, text: str, where: Where | None = None) -> None:
        """Appends a piece; without `where` it goes on on the same line."""
        if where is not None and where != self.here:
            down = where.line - self.here.line
            if where.path == self.here.path and 0 < down <= NEAR:
                self.parts.append("\n" * down)
            else:
                path = where.path.replace("\\", "\\\\").replace('"', '\\"')
                self.parts.append(f'\n#line {where.line} "{path}"\n')
            self.here = where
        if text:
            self.parts.append(text + " ")

    def text(self) -> str:
        """The whole unit."""
        return "".join(self.parts) + "\n"

"""Tokens of MQL4 source: what they are, where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

__all__ = ["CLOSERS", "NOWHERE", "OPENERS", "Kind", "SourceError", "Token", "Where", "spell"]

OPENERS: Final = frozenset("([{")
CLOSERS: Final = frozenset(")]}")


class Kind(Enum):
    """What a token is; DIRECTIVE is a whole `#` line, IMPORT one of an import block's ends."""

    WORD = auto()
    NUMBER = auto()
    TEXT = auto()
    CHAR = auto()
    DATE = auto()
    COLOR = auto()
    OP = auto()
    DIRECTIVE = auto()
    IMPORT = auto()
    END = auto()


class Where(NamedTuple):
    """A line of a source file, counted from 1."""

    path: str
    line: int


NOWHERE: Final = Where("", 0)


class Token(NamedTuple):
    """One token; `spaced` if white space stands before it (a macro's `(` must not be)."""

    kind: Kind
    text: str
    where: Where
    spaced: bool = False

    def op(self, *texts: str) -> bool:
        """Whether this is one of these operators."""
        return self.kind is Kind.OP and self.text in texts

    def word(self, *texts: str) -> bool:
        """Whether this is one of these words; without texts, any word."""
        return self.kind is Kind.WORD and (not texts or self.text in texts)


class SourceError(Exception):
    """The source cannot be read any further; nothing is emitted."""

    def __init__(self, where: Where, message: str) -> None:
        super().__init__(message)
        self.where = where
        self.message = message


def spell(tokens: Sequence[Token]) -> str:
    """The tokens as one line of source, for messages."""
    return " ".join(token.text for token in tokens)

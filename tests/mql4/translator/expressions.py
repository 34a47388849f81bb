"""Expressions: tokens of MQL4 to tokens of C++."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import PurePath
from typing import Final

from tests.mql4.translator import literals
from tests.mql4.translator.tokens import Kind, Token
from tests.mql4.translator.writer import Writer

__all__ = ["ExpressionWriter", "is_zero"]

CONVERSIONS: Final[dict[Kind, Callable[[Token], str]]] = {
    Kind.NUMBER: literals.number,
    Kind.CHAR: literals.character,
    Kind.DATE: literals.moment,
    Kind.COLOR: literals.color,
    Kind.TEXT: literals.text,
}


def is_zero(token: Token) -> bool:
    """Whether this is a number that is zero."""
    if token.kind is not Kind.NUMBER:
        return False
    if token.text[:2] in ("0x", "0X"):
        return int(token.text, 16) == 0
    return float(token.text.rstrip("fF")) == 0.0


class ExpressionWriter:
    """Puts expressions into a writer; knows the program's own global names."""

    def __init__(self, writer: Writer, namespace: str, globals_: Collection[str]) -> None:
        self.writer = writer
        self.namespace = namespace
        self.globals = globals_
        self.function = ""  # what __FUNCTION__ is

    def put(self, tokens: Sequence[Token]) -> None:
        """One expression."""
        previous: Token | None = None
        for at, token in enumerate(tokens):
            following = tokens[at + 1] if at + 1 < len(tokens) else None
            for text in self.pieces(previous, token, following):
                self.writer.put(text, token.where)
            previous = token

    def pieces(self, previous: Token | None, token: Token, following: Token | None) -> list[str]:
        """What one token becomes, seen with its neighbours."""
        if token.kind is Kind.TEXT and previous is not None and previous.kind is Kind.TEXT:
            return ["+", literals.text(token)]
        convert = CONVERSIONS.get(token.kind)
        if convert is not None:
            return [convert(token)]
        if token.word():
            return [self.word(token)]
        if token.op(".") and previous is not None and previous.word("this"):
            return ["->"]
        if token.op("::") and (previous is None or not previous.word()):
            own = following is not None and following.text in self.globals
            return [f"{self.namespace}::" if own else "::"]
        if token.op("/", "%", "/=", "%=") and self.checked(following):
            return [token.text, "mql_div()", "=" if token.text.endswith("=") else token.text]
        return [token.text]

    @staticmethod
    def checked(divisor: Token | None) -> bool:
        """Whether a divisor may turn out to be zero."""
        return divisor is not None and divisor.kind is not Kind.NUMBER

    def word(self, token: Token) -> str:
        """A word; the names of places become texts."""
        if token.text in ("__FUNCTION__", "__FUNCSIG__"):
            return f'_S(u"{self.function}")'
        if token.text in ("__FILE__", "__PATH__"):
            return f'_S(u"{PurePath(token.where.path).name}")'
        if token.text in ("__DATETIME__", "__DATE__"):
            return "datetime(0)"
        return token.text

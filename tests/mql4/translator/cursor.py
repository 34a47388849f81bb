"""A cursor over a token stream: look ahead, take, take up to a delimiter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.mql4.translator.tokens import CLOSERS, OPENERS, Kind, SourceError, Token, Where

__all__ = ["Cursor", "split"]


def split(tokens: Sequence[Token], separator: str = ",") -> list[tuple[Token, ...]]:
    """The parts between the separators that stand outside every bracket."""
    parts: list[tuple[Token, ...]] = []
    current: list[Token] = []
    depth = 0
    for token in tokens:
        if token.kind is Kind.OP:
            depth += (token.text in OPENERS) - (token.text in CLOSERS)
            if depth == 0 and token.text == separator:
                parts.append(tuple(current))
                current = []
                continue
        current.append(token)
    if current or parts:
        parts.append(tuple(current))
    return parts


class Cursor:
    """Where the parser stands."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        last = tokens[-1].where if tokens else Where("", 0)
        self.tokens = tokens
        self.end = Token(Kind.END, "", last)
        self.at = 0

    def peek(self, ahead: int = 0) -> Token:
        """The token `ahead` from here."""
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else self.end

    def take(self) -> Token:
        """The next token, taken."""
        token = self.peek()
        self.at += 1
        return token

    def expect(self, text: str) -> Token:
        """The next token, which has to be this operator or word."""
        token = self.peek()
        if token.text != text or token.kind not in (Kind.OP, Kind.WORD):
            found = f"`{token.text}`" if token.text else "the end of the file"
            raise SourceError(token.where, f"`{text}` expected before {found}")
        return self.take()

    def name(self) -> Token:
        """The next token, which has to be a word."""
        token = self.peek()
        if not token.word():
            raise SourceError(token.where, f"a name expected before `{token.text}`")
        return self.take()

    def until(self, stop: Callable[[Token], bool], what: str) -> tuple[Token, ...]:
        """The tokens up to the first outside brackets for which `stop` holds; that one is left."""
        depth, start = 0, self.at
        while True:
            token = self.peek()
            if depth == 0 and stop(token):
                return tuple(self.tokens[start : self.at])
            if token.kind is Kind.OP:
                depth += (token.text in OPENERS) - (token.text in CLOSERS)
            if token.kind in (Kind.END, Kind.IMPORT) or depth < 0:
                found = f"`{token.text}`" if token.text else "the end of the file"
                raise SourceError(token.where, f"`{what}` expected before {found}")
            self.at += 1

    def upto(self, *ends: str) -> tuple[Token, ...]:
        """The tokens up to one of these operators, which is left."""
        return self.until(lambda token: token.op(*ends), ends[0])

    def group(self, opener: str, closer: str) -> tuple[Token, ...]:
        """The inside of a bracketed group, taken with its brackets."""
        self.expect(opener)
        inside = self.upto(closer)
        self.expect(closer)
        return inside

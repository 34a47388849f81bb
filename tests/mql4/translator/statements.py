"""Parsing of statements."""

from __future__ import annotations

from collections.abc import Callable

from tests.mql4.translator.names import NameParser
from tests.mql4.translator.tokens import Kind, SourceError, Token
from tests.mql4.translator.tree import (
    Block,
    DoWhile,
    Expression,
    For,
    If,
    Label,
    Return,
    Statement,
    Switch,
    Variables,
    While,
)
from tests.mql4.translator.vocabulary import BASE_TYPES

__all__ = ["StatementParser"]


class StatementParser(NameParser):
    """Bodies of functions."""

    def block(self) -> Block:
        """`{ ... }`."""
        start = self.expect("{")
        body: list[Statement] = []
        while not self.peek().op("}"):
            if self.peek().kind in (Kind.END, Kind.IMPORT):
                raise SourceError(start.where, "this `{` has no `}`")
            body.append(self.statement())
        end = self.take()
        return Block(tuple(body), start.where, end.where)

    def statement(self) -> Statement:
        """One statement."""
        token = self.peek()
        known: dict[str, Callable[[], Statement]] = {
            "if": self.if_,
            "while": self.while_,
            "do": self.do,
            "for": self.for_,
            "switch": self.switch,
            "case": self.label,
            "default": self.label,
            "return": self.return_,
        }
        if token.op("{"):
            return self.block()
        if token.word(*known):
            return known[token.text]()
        if token.word("else"):
            raise SourceError(token.where, "`else` without `if`")
        if self.declaration_ahead():
            return self.local()
        tokens = self.upto(";")
        self.take()
        return Expression(tokens, token.where)

    def local(self) -> Statement:
        """A declaration inside a function."""
        storage = self.storage()
        kind = self.type_word()
        if self.peek().word() and self.peek(1).op("(") and self.function_inside():
            self.findings.add("L323", kind.where, self.peek().text)
            self.take()
            self.group("(", ")")
            return self.block()
        return self.variables(storage, kind)

    def function_inside(self) -> bool:
        """Whether the name here, with its bracket, begins a function with a body."""
        depth, ahead = 0, 1
        while True:
            token = self.peek(ahead)
            depth += token.op("(") - token.op(")")
            ahead += 1
            if depth == 0 or token.kind is Kind.END:
                return self.peek(ahead).op("{")

    def condition(self) -> tuple[Token, ...]:
        """`( ... )`, which has to hold something."""
        start = self.peek()
        tokens = self.group("(", ")")
        if not tokens:
            raise SourceError(start.where, "an expression expected between ( and )")
        return tokens

    def if_(self) -> Statement:
        """`if`."""
        where = self.take().where
        condition = self.condition()
        then = self.statement()
        otherwise: Statement | None = None
        if self.peek().word("else"):
            self.take()
            otherwise = self.statement()
        return If(condition, then, otherwise, where)

    def while_(self) -> Statement:
        """`while`."""
        where = self.take().where
        condition = self.condition()
        return While(condition, self.statement(), where)

    def do(self) -> Statement:
        """`do ... while (...);`."""
        where = self.take().where
        body = self.statement()
        self.expect("while")
        condition = self.condition()
        self.expect(";")
        return DoWhile(body, condition, where)

    def for_(self) -> Statement:
        """`for`."""
        where = self.take().where
        self.expect("(")
        start: Variables | tuple[Token, ...]
        if self.declaration_ahead():
            storage = self.storage()
            start = self.variables(storage, self.type_word())
        else:
            start = self.upto(";")
            self.expect(";")
        condition = self.upto(";")
        self.expect(";")
        step = self.upto(")")
        self.expect(")")
        return For(start, condition, step, self.statement(), where)

    def switch(self) -> Statement:
        """`switch`."""
        where = self.take().where
        value = self.condition()
        return Switch(value, self.statement(), where)

    def label(self) -> Statement:
        """`case x:` or `default:`; a `?:` inside keeps its colon."""
        word = self.take()
        open_questions = 0

        def ends(token: Token) -> bool:
            nonlocal open_questions
            open_questions += token.op("?")
            if token.op(":") and open_questions:
                open_questions -= 1
                return False
            return token.op(":")

        value = self.until(ends, ":")
        self.expect(":")
        return Label(value if word.text == "case" else None, word.where)

    def return_(self) -> Statement:
        """`return`."""
        where = self.take().where
        value = self.upto(";")
        self.expect(";")
        return Return(value, where)

    def is_type(self, token: Token) -> bool:
        """Whether this word names a type."""
        return token.word() and (token.text in self.types or token.text in BASE_TYPES)

"""Statements as C++."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.mql4.translator.declarations import DeclarationWriter
from tests.mql4.translator.tokens import Token
from tests.mql4.translator.tree import (
    Block,
    DoWhile,
    Expression,
    For,
    Function,
    If,
    Label,
    Return,
    Statement,
    Switch,
    Variables,
    While,
)

__all__ = ["BodyWriter"]


class BodyWriter:
    """Puts function bodies into a writer."""

    def __init__(self, declarations: DeclarationWriter) -> None:
        self.declarations = declarations
        self.expressions = declarations.expressions
        self.writer = declarations.writer
        self.writers: dict[type[Statement], Callable[[Any], None]] = {
            Block: self.block,
            If: self.if_,
            While: self.while_,
            DoWhile: self.do,
            For: self.for_,
            Switch: self.switch,
            Label: self.label,
            Return: self.return_,
            Expression: self.expression,
            Variables: declarations.variables,
        }

    def definition(self, function: Function, owner: str) -> None:
        """A function with its body, outside of its class."""
        assert function.body is not None
        put = self.writer.put
        if function.template:
            put(function.template, function.where)
        self.expressions.function = f"{owner}::{function.name}" if owner else function.name
        self.declarations.head(function, owner, inside=False)
        self.declarations.params(function, defaults=False)
        if function.initialisers:
            put(":")
            self.expressions.put(self.initialisers(function))
        put("{ " + self.declarations.unwrapping(function), function.body.where)
        for statement in function.body.body:
            self.statement(statement)
        put("}", function.body.end)

    def initialisers(self, function: Function) -> list[Token]:
        """What stands before a constructor's body, where wrapped parameters are still wrapped."""
        names = {
            param.name for param in function.params if self.declarations.wrapped(function, param)
        }
        return [
            token._replace(text=f"{token.text}__lv.r") if token.word(*names) and names else token
            for token in function.initialisers
        ]

    def statement(self, statement: Statement) -> None:
        """One statement."""
        self.writers[type(statement)](statement)

    def block(self, block: Block) -> None:
        """`{ ... }`."""
        self.writer.put("{", block.where)
        for statement in block.body:
            self.statement(statement)
        self.writer.put("}", block.end)

    def nested(self, statement: Statement) -> None:
        """The body of an if or a loop."""
        if isinstance(statement, Expression) and not statement.tokens:
            self.writer.put("{}", statement.where)
        else:
            self.statement(statement)

    def if_(self, statement: If) -> None:
        """`if`."""
        self.writer.put("if (", statement.where)
        self.expressions.put(statement.condition)
        self.writer.put(")")
        self.nested(statement.then)
        if statement.otherwise is not None:
            self.writer.put("else")
            self.nested(statement.otherwise)

    def while_(self, statement: While) -> None:
        """`while`."""
        self.writer.put("while (", statement.where)
        self.expressions.put(statement.condition)
        self.writer.put(")")
        self.nested(statement.body)

    def do(self, statement: DoWhile) -> None:
        """`do ... while`."""
        self.writer.put("do", statement.where)
        self.nested(statement.body)
        self.writer.put("while (")
        self.expressions.put(statement.condition)
        self.writer.put(");")

    def for_(self, statement: For) -> None:
        """`for`; several variables need their types once, as C++ writes them."""
        put = self.writer.put
        put("for (", statement.where)
        if isinstance(statement.start, Variables):
            words = [word for word in ("static", "const") if word in statement.start.storage]
            put(" ".join([*words, statement.start.type]))
            for at, name in enumerate(statement.start.names):
                put(", " + name.name if at else name.name, name.where)
                if name.value is not None:
                    put("=")
                    self.expressions.put(name.value)
        else:
            self.expressions.put(statement.start)
        put(";")
        self.expressions.put(statement.condition)
        put(";")
        self.expressions.put(statement.step)
        put(")")
        self.nested(statement.body)

    def switch(self, statement: Switch) -> None:
        """`switch`."""
        self.writer.put("switch (", statement.where)
        self.expressions.put(statement.value)
        self.writer.put(")")
        self.statement(statement.body)

    def label(self, statement: Label) -> None:
        """`case` and `default`."""
        self.writer.put("default" if statement.value is None else "case", statement.where)
        self.expressions.put(statement.value or ())
        self.writer.put(":")

    def return_(self, statement: Return) -> None:
        """`return`."""
        self.writer.put("return", statement.where)
        self.expressions.put(statement.value)
        self.writer.put(";")

    def expression(self, statement: Expression) -> None:
        """An expression statement."""
        self.writer.put("", statement.where)
        self.expressions.put(statement.tokens)
        self.writer.put(";")

"""Rules about bodies: walks statements with the names that are visible there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.mql4.translator.builtins import Builtins
from tests.mql4.translator.findings import Findings
from tests.mql4.translator.lint_declarations import DeclarationLint
from tests.mql4.translator.lint_expressions import ExpressionLint, Names, Symbol
from tests.mql4.translator.shapes import Shapes
from tests.mql4.translator.sizes import Sizes
from tests.mql4.translator.tokens import Kind, Token
from tests.mql4.translator.tree import (
    Block,
    Declarator,
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
from tests.mql4.translator.vocabulary import MUST_USE, PREDEFINED_VARIABLES

__all__ = ["LOCAL_BYTES_MAX", "BodyLint"]

LOCAL_BYTES_MAX: Final = 512 * 1024


class BodyLint:
    """One function at a time; `owner` is the class whose members it sees."""

    def __init__(self, shapes: Shapes, builtins: Builtins, findings: Findings, owner: str) -> None:
        self.findings = findings
        self.declarations = DeclarationLint(shapes, builtins, findings)
        self.names = Names(shapes, builtins, owner)
        self.expressions = ExpressionLint(self.names, findings)
        self.sizes = Sizes(shapes)
        self.result = ""
        self.local_bytes = 0

    def function(self, function: Function) -> None:
        """A function with its body."""
        if function.body is None:
            return
        self.result = function.type.word if function.type is not None else "void"
        self.names.enter()
        for param in function.params:
            self.hides(param.name, function)
            dims = -1 if param.dims is None else len(param.dims)
            self.names.add(param.name, Symbol(param.type.word, max(dims, 0), param.type.const))
        for statement in function.body.body:
            self.statement(statement)
        self.names.leave()

    def hides(self, name: str, place: Function | Declarator) -> None:
        """Names of the terminal's own variables."""
        if name in PREDEFINED_VARIABLES:
            self.findings.add("L412", place.where, name)

    def statement(self, statement: Statement) -> None:
        """One statement, with those inside it."""
        match statement:
            case Block():
                self.names.enter()
                for inner in statement.body:
                    self.statement(inner)
                self.names.leave()
            case If():
                self.expressions.check(statement.condition)
                self.inside(statement.then)
                if statement.otherwise is not None:
                    self.inside(statement.otherwise)
            case While() | DoWhile():
                self.expressions.check(statement.condition)
                self.inside(statement.body)
            case For():
                self.for_(statement)
            case Switch():
                self.switch(statement)
            case Label():
                self.expressions.check(statement.value or ())
            case Return():
                self.return_(statement)
            case Expression():
                self.expression(statement)
            case Variables():
                self.locals(statement)

    def inside(self, statement: Statement) -> None:
        """A statement with a scope of its own."""
        self.names.enter()
        self.statement(statement)
        self.names.leave()

    def for_(self, statement: For) -> None:
        """`for`: the one place where a comma separates expressions."""
        self.names.enter()
        if isinstance(statement.start, Variables):
            self.locals(statement.start)
        else:
            self.expressions.check(statement.start, commas=True)
        self.expressions.check(statement.condition)
        self.expressions.check(statement.step, commas=True)
        self.inside(statement.body)
        self.names.leave()

    def switch(self, statement: Switch) -> None:
        """`switch`."""
        self.expressions.check(statement.value)
        first = statement.value[0]
        symbol = self.names.find(first.text) if len(statement.value) == 1 else None
        if symbol is not None and symbol.type in ("string", "double", "float") and not symbol.dims:
            self.findings.add("L407", statement.where, first.text)
        elif isinstance(statement.body, Block):
            for label in statement.body.body:
                if isinstance(label, Label) and label.value and label.value[0].kind is Kind.TEXT:
                    self.findings.add("L407", label.where)
        self.inside(statement.body)

    def return_(self, statement: Return) -> None:
        """`return`, with what the function promises."""
        self.expressions.check(statement.value)
        if bool(statement.value) == (self.result == "void"):
            self.findings.add("L411", statement.where)

    def expression(self, statement: Expression) -> None:
        """An expression statement."""
        tokens = statement.tokens
        if len(tokens) > 1 and tokens[0].word(*MUST_USE) and tokens[1].op("("):
            self.findings.add("L402", statement.where, tokens[0].text)
        self.expressions.check(tokens)

    def locals(self, declared: Variables) -> None:
        """Variables of a function."""
        self.declarations.variables(declared)
        for name in declared.names:
            self.hides(name.name, name)
            if "static" not in declared.storage:
                self.local_bytes += self.sizes.array(declared.type, name.dims)
                if self.local_bytes > LOCAL_BYTES_MAX:
                    self.findings.add("L324", name.where, name.name)
        self.variables(declared)

    def variables(self, declared: Variables) -> None:
        """The values of variables, and their names from here on."""
        const = bool({"const", "input", "sinput"} & declared.storage)
        for name in declared.names:
            self.expressions.check(_inside_braces(name.value or ()), commas=_braced(name.value))
            self.expressions.check(name.arguments or (), commas=True)
            self.names.add(name.name, Symbol(declared.type, len(name.dims), const))


def _braced(value: Sequence[Token] | None) -> bool:
    """Whether a value is a list in braces."""
    return bool(value) and value is not None and value[0].op("{")


def _inside_braces(value: Sequence[Token]) -> tuple[Token, ...]:
    """The value without any braces."""
    return tuple(token for token in value if not token.op("{", "}"))

"""Parsing of whole programs: functions, records, enumerations, imports."""

from __future__ import annotations

from typing import Final

from tests.mql4.translator.cursor import split
from tests.mql4.translator.statements import StatementParser
from tests.mql4.translator.tokens import Kind, SourceError, Token
from tests.mql4.translator.tree import (
    Access,
    Block,
    Enumeration,
    Function,
    Import,
    Item,
    Program,
    Record,
    TypeName,
)
from tests.mql4.translator.vocabulary import ACCESS

__all__ = ["Parser"]

NO_STORAGE: Final[frozenset[str]] = frozenset()


class Parser(StatementParser):
    """Reads a token stream into a tree; stops at the first thing it cannot read."""

    def program(self) -> Program:
        """The whole stream. What was read before an error stays, and the error is a finding."""
        program = Program()
        try:
            while self.peek().kind is not Kind.END:
                item = self.item("")
                if item is not None:
                    program.items.append(item)
        except SourceError as error:
            self.findings.error(error)
        return program

    def item(self, owner: str, template: str = "") -> Item | None:
        """One declaration at global scope, or in the class `owner`."""
        token = self.peek()
        if token.kind is Kind.IMPORT:
            return self.import_()
        if token.op(";"):
            self.take()
            return None
        if token.word("struct", "class"):
            if template:
                self.findings.add("L310", token.where)
            return self.record()
        if token.word("enum"):
            return self.enumeration()
        if token.word("template"):
            return self.item(owner, self.template())
        if owner and token.word(*ACCESS):
            word = self.take()
            self.expect(":")
            return Access(word.text, word.where)
        if self.constructor_ahead(owner):
            return self.constructor(owner)
        if self.declaration_ahead():
            return self.declaration(template)
        self.findings.add("L304", token.where, f"`{token.text}`")
        raise SourceError(token.where, f"a declaration expected before `{token.text}`")

    def template(self) -> str:
        """`template<typename T>`, as C++ writes it; its type names are types from here on."""
        self.take()
        self.expect("<")
        words = self.upto(">")
        self.expect(">")
        self.types |= {word.text for word in words if word.word() and word.text != "typename"}
        return "template <" + " ".join(word.text for word in words) + ">"

    # --- functions and variables ---------------------------------------------------------------

    def constructor_ahead(self, owner: str) -> bool:
        """Whether a constructor or destructor begins here, in a class or outside of it."""
        ahead = 1 if self.peek().word("virtual") else 0
        first, second = self.peek(ahead), self.peek(ahead + 1)
        if owner:
            return first.op("~") or (first.word(owner) and second.op("("))
        return first.word() and second.op("::")

    def constructor(self, owner: str) -> Function:
        """A constructor or destructor."""
        storage = self.storage()
        first = self.peek()
        outside = owner
        if not owner:
            outside = self.take().text
            self.expect("::")
        tilde = self.take().text if self.peek().op("~") else ""
        name = self.name()
        made = self.function(storage, None, tilde + name.text, outside if not owner else "")
        return _moved(made, first)

    def declaration(self, template: str) -> Item:
        """A function, or variables."""
        storage = self.storage()
        kind = self.type_word()
        start = self.at
        pointer, ref = self.marks()
        if ref:
            self.findings.add("L308", kind.where)
        owner = ""
        if self.peek().word() and self.peek(1).op("::"):
            owner = self.take().text
            self.take()
        if self.peek().word("operator"):
            name = self.operator_name()
        elif self.peek().word() and self.peek(1).op("(") and self.params_ahead():
            name = self.check_name(self.take())
        else:
            self.at = start
            return self.variables(storage, kind)
        result = TypeName(kind.text, "const" in storage, pointer, ref)
        made = self.function(storage - {"const"}, result, name, owner, template)
        return _moved(made, kind)

    def operator_name(self) -> str:
        """`operator` with its sign."""
        self.take()
        sign = "".join(token.text for token in self.upto("("))
        return "operator" + sign

    def params_ahead(self) -> bool:
        """Whether the bracket behind the name here holds parameters (or constructor values)."""
        first, second = self.peek(2), self.peek(3)
        if first.op(")") or first.word("const", "void"):
            return True
        if not first.word():
            return False
        return first.text in self.types or second.word() or second.op("&")

    def function(
        self,
        storage: frozenset[str],
        result: TypeName | None,
        name: str,
        owner: str,
        template: str = "",
    ) -> Function:
        """The rest of a function, from its parameters on."""
        where = self.peek().where
        params = self.params(self.group("(", ")"))
        const = self.peek().word("const")
        if const:
            self.take()
        if self.peek().word("override", "final"):
            self.findings.add("L311", self.take().where)
        initialisers: tuple[Token, ...] = ()
        if self.peek().op(":"):
            self.take()
            initialisers = self.until(lambda token: token.op("{"), "{")
        body: Block | None = None
        if self.peek().op("="):
            self.findings.add("L311", self.peek().where, name)
            self.upto(";")
        if self.peek().op("{"):
            body = self.block()
        else:
            self.expect(";")
        return Function(
            storage, result, name, params, body, where, owner, const, initialisers, template
        )

    # --- records, enumerations, imports ---------------------------------------------------------

    def record(self) -> Item | None:
        """A struct or class."""
        keyword = self.take()
        name = self.name()
        self.check_name(name)
        base = access = ""
        if self.peek().op(":"):
            self.take()
            words = self.until(lambda token: token.op("{"), "{")
            if any(token.op(",") for token in words):
                self.findings.add("L312", name.where, name.text)
            base = words[-1].text if words else ""
            access = words[0].text if len(words) > 1 else ""
        if self.peek().op(";"):
            self.take()
            return None
        self.expect("{")
        members: list[Item] = []
        while not self.peek().op("}"):
            if self.peek().kind is Kind.END:
                raise SourceError(name.where, f"{name.text} has no closing brace")
            member = self.item(name.text)
            if member is not None:
                members.append(member)
        end = self.take()
        self.semicolon(end, f"{keyword.text} {name.text}")
        return Record(keyword.text, name.text, base, access, tuple(members), name.where, end.where)

    def semicolon(self, end: Token, what: str) -> None:
        """The `;` behind a closing brace."""
        if self.peek().op(";"):
            self.take()
        else:
            self.findings.add("L316", end.where, what)

    def enumeration(self) -> Enumeration:
        """An enum."""
        start = self.take()
        if self.peek().word("class", "struct"):
            self.findings.add("L317", self.take().where)
        name = self.check_name(self.take()) if self.peek().word() else ""
        inside = self.group("{", "}")
        self.semicolon(start, f"enum {name}")
        values = []
        for part in split(inside):
            if not part:
                continue  # a comma before the brace
            if len(part) > 1 and not part[1].op("="):
                raise SourceError(part[1].where, f"`,` expected before `{part[1].text}`")
            self.check_name(part[0])
            values.append((part[0], part[2:]))
        return Enumeration(name, tuple(values), start.where)

    def import_(self) -> Import | None:
        """A block from `#import "x.dll"` to the next `#import`."""
        start = self.take()
        if not start.text:
            return None
        functions = []
        while self.peek().kind is not Kind.IMPORT:
            kind = self.type_word()
            pointer, _ = self.marks()
            name = self.name()
            result = TypeName(kind.text, pointer=pointer)
            made = self.function(NO_STORAGE, result, name.text, "")
            functions.append(_moved(made, kind))
        if not self.peek().text:
            self.take()
        return Import(start.text, tuple(functions), start.where)


def _moved(made: Function, start: Token) -> Function:
    """The function as standing where its first word stands."""
    return Function(
        made.storage, made.type, made.name, made.params, made.body, start.where, made.owner,
        made.const, made.initialisers, made.template,
    )  # fmt: skip

"""Parsing of types, parameters and variable declarations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from tests.mql4.translator.cursor import Cursor, split
from tests.mql4.translator.findings import Findings
from tests.mql4.translator.tokens import Kind, SourceError, Token
from tests.mql4.translator.tree import Declarator, Param, TypeName, Variables
from tests.mql4.translator.vocabulary import BASE_TYPES, NOT_A_TYPE, RESERVED, STORAGE

__all__ = ["NameParser"]


class NameParser(Cursor):
    """What declarations are made of. `types` are all type names of the whole program."""

    def __init__(self, tokens: Sequence[Token], types: Iterable[str], findings: Findings) -> None:
        super().__init__(tokens)
        self.findings = findings
        self.types = set(types) | BASE_TYPES
        # MQL4 knows a type before its definition.
        for here, following in pairwise(tokens):
            if here.word("struct", "class", "enum") and following.word():
                self.types.add(following.text)

    def declaration_ahead(self) -> bool:
        """Whether a variable or function declaration begins here."""
        ahead = 0
        while self.peek(ahead).word(*STORAGE):
            ahead += 1
        first, second, third = (self.peek(ahead + k) for k in range(3))
        if not first.word() or first.word(*NOT_A_TYPE):
            return False
        if second.op("*", "&"):
            return first.text in self.types and third.word()
        if second.op("["):  # int[] f()
            return third.op("]") and self.peek(ahead + 3).word()
        return second.word()

    def storage(self) -> frozenset[str]:
        """The storage words before a type."""
        words = set()
        while self.peek().word(*STORAGE):
            words.add(self.take().text)
        return frozenset(words)

    def type_word(self) -> Token:
        """The word of a type, which has to be known."""
        word = self.name()
        if word.text not in self.types:
            self.findings.add("L303", word.where, word.text)
        if self.peek().op("["):
            self.findings.add("L322", word.where)
            self.group("[", "]")
        return word

    def check_name(self, name: Token) -> str:
        """The text of a declared name, which must not be reserved."""
        if name.text in RESERVED:
            self.findings.add("L302", name.where, name.text)
        return name.text

    def dimensions(self) -> tuple[tuple[Token, ...], ...]:
        """`[...]` as often as it stands here."""
        dims = []
        while self.peek().op("["):
            dims.append(self.group("[", "]"))
        return tuple(dims)

    def variables(self, storage: frozenset[str], kind: Token) -> Variables:
        """The declarators behind a type, up to the `;`, which is taken."""
        names = [self.declarator()]
        while self.peek().op(","):
            self.take()
            names.append(self.declarator())
        if not self.peek().op(";"):
            token = self.peek()
            raise SourceError(token.where, f"`;` expected before `{token.text}`")
        self.take()
        return Variables(storage, kind.text, tuple(names), kind.where)

    def declarator(self) -> Declarator:
        """One name with what belongs to it."""
        pointer, ref = self.marks()
        name = self.name()
        owner = ""
        if self.peek().op("::"):
            self.take()
            owner, name = name.text, self.name()
        self.check_name(name)
        if ref:
            self.findings.add("L308", name.where, name.text)
        dims = self.dimensions()
        value: tuple[Token, ...] | None = None
        arguments: tuple[Token, ...] | None = None
        if self.peek().op("="):
            self.take()
            value = self.upto(",", ";")
        elif self.peek().op("("):
            arguments = self.group("(", ")")
        return Declarator(name.text, name.where, owner, pointer, ref, dims, value, arguments)

    def marks(self) -> tuple[bool, bool]:
        """`*` and `&` before a name: pointer, reference."""
        pointer = ref = False
        while self.peek().op("*", "&"):
            mark = self.take()
            pointer |= mark.text == "*"
            ref |= mark.text == "&"
            if mark.text == "*":
                self.findings.add("L309", mark.where)
        return pointer, ref

    def params(self, tokens: tuple[Token, ...]) -> tuple[Param, ...]:
        """The parameters of a bracketed list."""
        parts = split(tokens)
        if len(parts) == 1 and len(parts[0]) == 1 and parts[0][0].text == "void":
            return ()
        return tuple(self.param(part) for part in parts)

    def param(self, tokens: tuple[Token, ...]) -> Param:
        """One parameter, from its own tokens."""
        if not tokens:
            raise SourceError(self.peek().where, "a parameter is missing")
        inner = NameParser(tokens, self.types, self.findings)
        const = "const" in inner.storage()
        word = inner.type_word()
        pointer, ref = inner.marks()
        name = ""
        if inner.peek().word():
            name = self.check_name(inner.take())
        dims = inner.dimensions() if inner.peek().op("[") else None
        default: tuple[Token, ...] | None = None
        if inner.peek().op("="):
            inner.take()
            default = tuple(inner.tokens[inner.at :])
            inner.at = len(inner.tokens)
        if inner.peek().kind is not Kind.END:
            raise SourceError(inner.peek().where, f"`,` expected before `{inner.peek().text}`")
        if ref and default is not None:
            self.findings.add("L307", word.where, name)
        return Param(TypeName(word.text, const, pointer, ref), name, dims, default, word.where)

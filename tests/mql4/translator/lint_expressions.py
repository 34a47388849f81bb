"""Rules about expressions, with what declarations say of the names in them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from tests.mql4.translator.builtins import Builtins
from tests.mql4.translator.cursor import split
from tests.mql4.translator.expressions import is_zero
from tests.mql4.translator.findings import Findings
from tests.mql4.translator.reference import FUNCTIONS
from tests.mql4.translator.shapes import Shapes
from tests.mql4.translator.tokens import CLOSERS, OPENERS, Kind, Token
from tests.mql4.translator.tree import Function, Param, Variables
from tests.mql4.translator.vocabulary import BASE_TYPES, words

__all__ = ["ExpressionLint", "Names", "Symbol"]

ASSIGNMENTS: Final = ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=")
LITERALS: Final = (Kind.NUMBER, Kind.TEXT, Kind.CHAR, Kind.DATE, Kind.COLOR)
BINARY: Final = words("+ - * / % & | ^ << >> && || == != < > <= >= ? :")
NOT_A_CALL: Final = frozenset(
    ["return", "sizeof", "if", "while", "for", "switch", "case", "operator"]
)
NUMBERS: Final = frozenset(
    ["char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "float", "double"]
)
REALS: Final = frozenset({"double", "float"})


class Symbol(NamedTuple):
    """What is known of a variable's name."""

    type: str
    dims: int
    const: bool


class Names:
    """The variables visible at one place of one function, and what can be called there."""

    def __init__(self, shapes: Shapes, builtins: Builtins, owner: str) -> None:
        self.shapes = shapes
        self.scopes: list[dict[str, Symbol]] = [{}]
        self.functions: dict[str, list[Function]] = {}
        self.callable = set(builtins.functions) | BASE_TYPES | set(shapes.records)
        self.callable |= builtins.types | {enum.name for enum in shapes.enums}
        self.out_params = builtins.out_params
        for declared in shapes.variables:
            self.declare(declared)
        for function in shapes.functions:
            if not function.owner:
                self.functions.setdefault(function.name, []).append(function)
        for block in shapes.imports:
            for function in block.functions:
                self.functions.setdefault(function.name, []).append(function)
        self.callable |= self.functions.keys()
        self.methods: set[str] = set()
        self.see_members(owner)

    def see_members(self, owner: str) -> None:
        """Makes the members of a class and its bases visible."""
        record = self.shapes.records.get(owner)
        if record is None:
            return
        self.see_members(record.base)
        self.enter()
        for member in record.members:
            if isinstance(member, Variables):
                self.declare(member)
            elif isinstance(member, Function):
                self.methods.add(member.name)

    def declare(self, declared: Variables) -> None:
        """Adds the names of a declaration."""
        const = bool({"const", "input", "sinput"} & declared.storage)
        for name in declared.names:
            if not name.owner:
                self.add(name.name, Symbol(declared.type, len(name.dims), const))

    def enter(self) -> None:
        """A new scope."""
        self.scopes.append({})

    def leave(self) -> None:
        """The end of a scope."""
        self.scopes.pop()

    def add(self, name: str, symbol: Symbol) -> None:
        """A name of the innermost scope."""
        self.scopes[-1][name] = symbol

    def find(self, name: str) -> Symbol | None:
        """What a name is here."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None


class ExpressionLint:
    """Checks expressions."""

    def __init__(self, names: Names, findings: Findings) -> None:
        self.names = names
        self.findings = findings

    def check(self, tokens: Sequence[Token], *, commas: bool = False) -> None:
        """One expression; `commas` where a comma separates expressions."""
        calls: list[bool] = [commas]
        for at, token in enumerate(tokens):
            previous = tokens[at - 1] if at else None
            following = tokens[at + 1] if at + 1 < len(tokens) else None
            if token.op("(", "["):
                calls.append(self.opens_call(previous))
            elif token.op(")", "]"):
                calls.pop()
            elif token.op(",") and not calls[-1]:
                self.findings.add("L401", token.where)
            if token.op("{"):
                self.findings.add("L415", token.where)
            if token.op("[") and (previous is None or self.no_operand(previous)):
                self.findings.add("L301", token.where, "a lambda")
            self.beside(previous, token, following)
            if token.op("%", "%=") and (self.real(tokens, at - 1) or self.real(tokens, at + 1)):
                self.findings.add("L409", token.where)
            if token.word():
                self.name(tokens, at)

    @staticmethod
    def opens_call(previous: Token | None) -> bool:
        """Whether a bracket behind this token holds arguments."""
        if previous is None:
            return False
        return (previous.word() and previous.text not in NOT_A_CALL) or previous.op(")", "]")

    @staticmethod
    def no_operand(token: Token) -> bool:
        """Whether nothing that could be indexed stands here."""
        return token.kind is Kind.OP and token.text not in (")", "]")

    def beside(self, previous: Token | None, token: Token, following: Token | None) -> None:
        """Rules about neighbours."""
        if previous is not None and previous.op("/", "%", "/=", "%=") and is_zero(token):
            self.findings.add("L408", token.where)
        around = {side.kind for side in (previous, following) if side is not None}
        if token.op("*", "/", "%", "-", "<<", ">>") and Kind.TEXT in around:
            self.findings.add("L413", token.where)
        if previous is None or not self.operand(previous) or token.kind is Kind.OP:
            return
        if not previous.kind is token.kind is Kind.TEXT:
            self.findings.add("L414", token.where, f"before `{token.text}`")

    @staticmethod
    def operand(token: Token) -> bool:
        """Whether this is a name or a literal, not a word of the language."""
        keywords = ("return", "case", "new", "delete", "sizeof", "throw", "goto", "const")
        return token.kind in LITERALS or (token.word() and not token.word(*keywords))

    def real(self, tokens: Sequence[Token], at: int) -> bool:
        """Whether a literal or plain variable that is no integer stands there."""
        if not 0 <= at < len(tokens):
            return False
        token = tokens[at]
        if token.kind is Kind.NUMBER:
            return token.text[:2].lower() != "0x" and not token.text.isdigit()
        before = tokens[at - 1] if at else None
        behind = tokens[at + 1] if at + 1 < len(tokens) else None
        if before is not None and before.op(".", "::"):
            return False
        if not token.word() or (behind is not None and behind.op(".", "(", "[", "::")):
            return False
        symbol = self.names.find(token.text)
        return symbol is not None and symbol.type in REALS and not symbol.dims

    def name(self, tokens: Sequence[Token], at: int) -> None:
        """Rules about one name; members of other objects are left to the C++ compiler."""
        token = tokens[at]
        previous = tokens[at - 1] if at else None
        behind = at + 1
        if previous is not None and previous.op(".", "->", "::"):
            self.member(token, tokens[behind] if behind < len(tokens) else None)
            return
        if behind < len(tokens) and tokens[behind].op("("):
            self.call(tokens, at)
            return
        symbol = self.names.find(token.text)
        if symbol is None:
            return
        indexes = 0
        while behind < len(tokens) and tokens[behind].op("["):
            behind = _behind_group(tokens, behind)
            indexes += 1
        if symbol.type == "string" and indexes > symbol.dims:
            self.findings.add("L403", token.where, token.text)
        written = behind < len(tokens) and tokens[behind].op(*ASSIGNMENTS)
        stepped = behind < len(tokens) and tokens[behind].op("++", "--")
        stepped = stepped or (previous is not None and previous.op("++", "--"))
        if symbol.const and (written or stepped):
            self.findings.add("L405", token.where, token.text)
        elif written and symbol.dims and indexes == 0:
            self.findings.add("L404", token.where, token.text)

    def member(self, token: Token, following: Token | None) -> None:
        """A member of another object: arrays are not assigned there either."""
        written = following is not None and following.op("=")
        if written and token.text in self.names.shapes.array_members:
            self.findings.add("L404", token.where, token.text)

    def call(self, tokens: Sequence[Token], at: int) -> None:
        """A call by a plain name."""
        name = tokens[at]
        if name.text in NOT_A_CALL or name.text in self.names.methods:
            return
        if name.text not in self.names.callable:
            if self.names.find(name.text) is None:
                code = "L416" if name.text in FUNCTIONS else "L410"
                self.findings.add(code, name.where, name.text)
            return
        arguments = split(tokens[at + 2 : _behind_group(tokens, at + 1) - 1])
        forms = self.names.functions.get(name.text, [])
        fitting = [form for form in forms if len(form.params) >= len(arguments)]
        if fitting and all(self.unfit(form.params, arguments) for form in fitting):
            self.findings.add("L406", name.where, name.text)
        for position in self.names.out_params.get(name.text, frozenset()):
            if not forms and position < len(arguments) and self.temporary(arguments[position]):
                self.findings.add("L406", name.where, name.text)

    def unfit(self, params: Sequence[Param], arguments: Sequence[tuple[Token, ...]]) -> bool:
        """Whether some reference parameter gets what is no variable of its type."""
        return any(
            param.type.ref and (self.temporary(argument) or self.other_type(param, argument))
            for param, argument in zip(params, arguments, strict=False)
        )

    def temporary(self, argument: Sequence[Token]) -> bool:
        """Whether an argument is surely no variable."""
        if not argument:
            return False
        if len(argument) == 1:
            return argument[0].kind in LITERALS or argument[0].word("true", "false", "NULL")
        depth = 0
        for before, token in pairwise(argument):
            depth += before.kind is Kind.OP and before.text in OPENERS
            depth -= before.kind is Kind.OP and before.text in CLOSERS
            if depth == 0 and token.kind is Kind.OP and token.text in BINARY:
                return True
        cast = argument[0].op("(") and argument[1].text in BASE_TYPES
        return cast or argument[0].op("-", "!", "~")

    def other_type(self, param: Param, argument: Sequence[Token]) -> bool:
        """Whether a plain variable is of another number type than the reference."""
        symbol = self.names.find(argument[0].text) if len(argument) == 1 else None
        if symbol is None or symbol.dims or param.dims is not None:
            return False
        if not {symbol.type, param.type.word} <= NUMBERS:
            return False
        return symbol.type != param.type.word


def _behind_group(tokens: Sequence[Token], at: int) -> int:
    """The index behind the bracketed group that begins at `at`."""
    depth = 0
    while at < len(tokens):
        token = tokens[at]
        depth += token.kind is Kind.OP and token.text in OPENERS
        depth -= token.kind is Kind.OP and token.text in CLOSERS
        at += 1
        if depth == 0:
            break
    return at

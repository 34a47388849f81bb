"""Declarations as C++: parameters, variables, records, enumerations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.mql4.translator.expressions import ExpressionWriter
from tests.mql4.translator.tokens import Token
from tests.mql4.translator.tree import (
    Access,
    Declarator,
    Enumeration,
    Function,
    Param,
    Record,
    Variables,
)
from tests.mql4.translator.writer import Writer

__all__ = ["INPUTS", "DeclarationWriter", "plain"]

INPUTS: Final = frozenset({"input", "sinput", "extern"})


def plain(tokens: Sequence[Token]) -> str:
    """Tokens of a dimension or an array's type as C++ text."""
    return " ".join(token.text for token in tokens)


class DeclarationWriter:
    """Puts declarations into a writer."""

    def __init__(self, writer: Writer, expressions: ExpressionWriter, heavy: set[str]) -> None:
        self.writer = writer
        self.expressions = expressions
        self.heavy = heavy

    # --- variables -------------------------------------------------------------------------------

    @staticmethod
    def element(word: str, dims: Sequence[Sequence[Token]]) -> str:
        """The element type of an array."""
        return f"MqlRow<{word}, ({plain(dims[1])})>" if len(dims) > 1 else word

    def variables(self, declared: Variables) -> None:
        """Variables of a function or of the global scope, with their values."""
        for name in declared.names:
            self.variable(declared, name, still=False)

    def variable(self, declared: Variables, name: Declarator, *, still: bool) -> None:
        """One variable; `still` if it stands for the whole run and so begins as zero."""
        put = self.writer.put
        words = [word for word in ("static", "const") if word in declared.storage]
        zero = still or "static" in words
        if still and "static" in words:
            words.remove("static")
        full = f"{name.owner}::{name.name}" if name.owner else name.name
        if name.dims:
            self.array([*words], declared.type, name, zero=zero)
            return
        put(" ".join([*words, declared.type, "*" * name.pointer + full]), name.where)
        if name.value is not None:
            put("=")
            self.expressions.put(name.value)
        elif name.arguments is not None:
            put("(")
            self.expressions.put(name.arguments)
            put(")")
        elif zero and not name.owner:
            put("{}")
        put(";")

    def array(self, words: list[str], word: str, name: Declarator, *, zero: bool) -> None:
        """One array."""
        put = self.writer.put
        full = f"{name.owner}::{name.name}" if name.owner else name.name
        kind = f"MqlArray<{self.element(word, name.dims)}>"
        first = plain(name.dims[0])
        put(" ".join([*words, kind, full]), name.where)
        if name.value is not None:
            put("(")
            self.expressions.put(name.value)
            put(f", MqlConst<({first})>::v )" if first else ")")
        elif first:
            made = "zeroed" if zero else "fixed"
            put(f"= {kind}::{made}(MqlConst<({first})>::v)")
        put(";")

    def external(self, declared: Variables) -> None:
        """The announcement of global variables."""
        for name in declared.names:
            if name.owner:
                continue
            inputs = declared.storage & INPUTS
            const = "const " if {"const", "input", "sinput"} & declared.storage else ""
            kind = f"MqlArray<{self.element(declared.type, name.dims)}>"
            shape = kind if name.dims else declared.type + "*" * name.pointer
            mark = "&" if inputs else ""
            self.writer.put(f"extern {const}{shape} {mark}{name.name};", name.where)

    def input_(self, declared: Variables) -> None:
        """Inputs: the variable the terminal sets, and the name the program reads."""
        put = self.writer.put
        const = "" if "extern" in declared.storage else "const "
        for name in declared.names:
            put(f"{declared.type} {name.name}__v", name.where)
            if name.value is not None:
                put("=")
                self.expressions.put(name.value)
            put(f"; {const}{declared.type} &{name.name} = {name.name}__v;")
            put(f'static MqlInput {name.name}__in("{name.name}", {name.name}__v);')

    # --- functions -------------------------------------------------------------------------------

    @staticmethod
    def wrapped(function: Function, param: Param) -> bool:
        """Whether a parameter is `const T &`, which takes variables only."""
        # C++ has to know these as the copies they are.
        copying = function.name == "operator=" or (
            function.type is None and param.type.word == function.name
        )
        return (
            param.type.ref
            and param.type.const
            and param.dims is None
            and not function.template
            and not copying
        )

    def params(self, function: Function, *, defaults: bool) -> None:
        """The parameter list with its brackets."""
        put = self.writer.put
        put("(")
        for at, param in enumerate(function.params):
            put("," if at else "", param.where)
            put(self.param(function, param))
            if defaults and param.default is not None:
                put("=")
                self.expressions.put(param.default)
        put(")" + (" const" if function.const else ""))

    def param(self, function: Function, param: Param) -> str:
        """One parameter, without its default."""
        const = "const " if param.type.const else ""
        word = param.type.word
        if param.dims is not None:
            return f"{const}MqlArray<{self.element(word, param.dims)}> &{param.name}"
        if self.wrapped(function, param):
            return f"Lv<{word}> {param.name}__lv"
        return f"{const}{word} {'*' * param.type.pointer}{'&' * param.type.ref}{param.name}"

    def unwrapping(self, function: Function) -> str:
        """What a body begins with: the wrapped parameters under their own names."""
        return " ".join(
            f"const {param.type.word} &{param.name} = {param.name}__lv.r;"
            for param in function.params
            if param.name and self.wrapped(function, param)
        )

    def head(self, function: Function, owner: str, *, inside: bool) -> None:
        """A function's words up to its parameters; `inside` a class or as its prototype."""
        words: list[str] = []
        if inside:
            words += [word for word in ("static", "virtual") if word in function.storage]
        if function.type is not None:
            words.append("const" if function.type.const else "")
            words.append(function.type.word + "*" * function.type.pointer)
        name = function.name if inside or not owner else f"{owner}::{function.name}"
        self.writer.put(" ".join([*words, name]).strip(), function.where)

    # --- types -----------------------------------------------------------------------------------

    def enumeration(self, enum: Enumeration) -> None:
        """An enum, as an int."""
        put = self.writer.put
        put(f"enum {enum.name} : int {{", enum.where)
        for token, value in enum.values:
            put(token.text, token.where)
            if value:
                put("=")
                self.expressions.put(value)
            put(",")
        put("};")

    def record(self, record: Record) -> None:
        """A struct or class: members, and methods without their bodies."""
        put = self.writer.put
        base = f": {record.access} {record.base}" if record.base else ""
        put(f"{record.keyword} {record.name} {base} {{", record.where)
        for member in record.members:
            if isinstance(member, Access):
                put(f"{member.word}:", member.where)
            elif isinstance(member, Enumeration):
                self.enumeration(member)
            elif isinstance(member, Variables):
                self.members(member)
            elif isinstance(member, Function):
                put(member.template)
                self.head(member, record.name, inside=True)
                self.params(member, defaults=True)
                put(";")
        self.zeroing(record)
        self.moving(record)
        if record.name in self.heavy and record.base not in self.heavy:
            put("MqlNoCopy mql_no_copy;", record.end)
        put("};", record.end)

    def moving(self, record: Record) -> None:
        """A destructor takes away what an array needs to grow, and is a reason not to."""
        own = {member.name for member in record.members if isinstance(member, Function)}
        if f"~{record.name}" not in own:
            return
        self.writer.put("public: typedef int mql_has_destructor;", record.end)
        if record.name not in self.heavy:
            return
        name = record.name
        default = "" if name in own else f"{name}() = default; "
        moves = f"{name}({name} &&) = default; {name} &operator=({name} &&) = default;"
        self.writer.put(f"public: {default}{moves}", record.end)

    def members(self, declared: Variables) -> None:
        """Member variables."""
        static = "static " if "static" in declared.storage else ""
        const = "const " if "const" in declared.storage else ""
        for name in declared.names:
            shape = declared.type + "*" * name.pointer
            if name.dims:
                kind = self.element(declared.type, name.dims)
                first = plain(name.dims[0])
                fixed = bool(first) and not static
                shape = f"MqlMember<{kind}, ({first})>" if fixed else f"MqlArray<{kind}>"
            self.writer.put(f"{static}{const}{shape} {name.name};", name.where)

    def zeroing(self, record: Record) -> None:
        """What ZeroMemory does with such a record."""
        parts = [f"{record.base}::mql_zero();"] if record.base else []
        for member in record.members:
            if isinstance(member, Variables) and not member.storage & {"static", "const"}:
                parts += [f"::mql_zero({name.name});" for name in member.names]
        self.writer.put("public: void mql_zero() {" + " ".join(parts) + "}", record.end)

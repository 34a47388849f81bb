"""A whole program as one C++ unit.

The order is C++'s: types, then announcements of everything global, then values, then bodies. That
is how use before definition works as in MQL4.
"""

from __future__ import annotations

from typing import Final

from tests.mql4.translator.bodies import BodyWriter
from tests.mql4.translator.declarations import INPUTS, DeclarationWriter
from tests.mql4.translator.expressions import ExpressionWriter
from tests.mql4.translator.imports import ImportWriter
from tests.mql4.translator.shapes import Shapes
from tests.mql4.translator.tree import Function, Program
from tests.mql4.translator.writer import GENERATED, Writer

__all__ = ["HEAD", "Emitter"]

HEAD: Final = (
    '#include "runtime/language.hpp"\n'
    '#if __has_include("builtins/builtins.hpp")\n'
    '#include "builtins/builtins.hpp"\n'
    "#endif\n"
)
HOOKS: Final = ("OnInit", "OnDeinit", "OnTick", "OnTimer", "OnStart")


class Emitter:
    """Emits one program into a namespace of its own."""

    def __init__(self, program: Program, namespace: str) -> None:
        self.shapes = Shapes(program)
        self.namespace = namespace
        self.writer = Writer()
        expressions = ExpressionWriter(self.writer, namespace, self.shapes.names)
        self.declarations = DeclarationWriter(self.writer, expressions, self.shapes.heavy)
        self.bodies = BodyWriter(self.declarations)
        self.imports = ImportWriter(self.declarations, set(self.shapes.records))

    def emit(self) -> str:
        """The namespace with the program in it; `NAMESPACE::hooks` fills a hook table."""
        self.writer.put(f"namespace {self.namespace} {{", GENERATED)
        self.types()
        self.announcements()
        self.values()
        self.definitions()
        self.hooks()
        self.writer.put("}", GENERATED)
        return self.writer.text()

    def types(self) -> None:
        """Enumerations and records."""
        for record in self.shapes.records.values():
            self.writer.put(f"{record.keyword} {record.name};", record.where)
        for enum in self.shapes.enums:
            self.declarations.enumeration(enum)
        for declared in self.shapes.variables:
            self.declarations.external(declared)
        for record in self.shapes.ordered_records():
            self.declarations.record(record)

    def announcements(self) -> None:
        """DLL functions, prototypes, templates."""
        for block in self.shapes.imports:
            self.imports.block(block)
        seen = set[str]()
        for function in self.shapes.functions:
            if function.owner or function.template:
                continue
            self.declarations.head(function, "", inside=True)
            # A prototype and its definition may both say the default; C++ wants it once.
            first = self.signature(function) not in seen
            seen.add(self.signature(function))
            self.declarations.params(function, defaults=first)
            self.writer.put(";")
        for function in self.shapes.functions:
            if function.template and function.body is not None:
                self.bodies.definition(function, function.owner)

    @staticmethod
    def signature(function: Function) -> str:
        """Name and parameter types."""
        kinds = ",".join(f"{param.type} {param.dims is None}" for param in function.params)
        return f"{function.name}({kinds})"

    def values(self) -> None:
        """Global variables, in source order."""
        for declared in self.shapes.variables:
            if declared.storage & INPUTS:
                self.declarations.input_(declared)
                continue
            for name in declared.names:
                self.declarations.variable(declared, name, still=True)

    def definitions(self) -> None:
        """Bodies of methods and functions."""
        for record in self.shapes.records.values():
            for member in record.members:
                if isinstance(member, Function) and member.body is not None:
                    self.bodies.definition(member, record.name)
        for function in self.shapes.functions:
            if function.body is not None and not function.template:
                self.bodies.definition(function, function.owner)

    def hooks(self) -> None:
        """The table of event handlers."""
        found = {function.name: function for function in self.shapes.functions if function.body}
        self.writer.put("void hooks(MqlHooks &h) {", GENERATED)
        for name in HOOKS:
            function = found.get(name)
            if function is None or function.owner:
                continue
            if name == "OnInit" and function.type is not None and function.type.word == "void":
                self.writer.put("h.OnInit = [] { OnInit(); return 0; };")
            elif name == "OnStart":
                self.writer.put("h.OnStart = [] { OnStart(); };")
            else:
                self.writer.put(f"h.{name} = {name};")
        self.writer.put("(void)h; }")

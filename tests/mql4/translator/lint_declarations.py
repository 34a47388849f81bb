"""Rules about declarations: parameters, results, handlers, records, dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tests.mql4.translator.builtins import Builtins
from tests.mql4.translator.findings import Findings
from tests.mql4.translator.reference import FUNCTIONS
from tests.mql4.translator.shapes import Shapes
from tests.mql4.translator.tokens import Kind, Token, Where
from tests.mql4.translator.tree import Declarator, Function, Param, Record, Return, Variables
from tests.mql4.translator.vocabulary import BASE_TYPES, HANDLERS

__all__ = ["DeclarationLint", "dimension_breach"]

CALLED_WITH_OBJECTS: Final = frozenset(["MqlTick", "MqlDateTime", "MqlRates"])


def dimension_breach(dimension: Sequence[Token], enumerators: Iterable[str]) -> str:
    """What is wrong with an array dimension after macros; "" if nothing is."""
    known = {*enumerators, "sizeof", *BASE_TYPES}
    for token in dimension:
        if token.word() and token.text not in known:
            return token.text
    if len(dimension) == 1 and dimension[0].kind is Kind.NUMBER:
        text = dimension[0].text
        if not text.isdigit() and text[:2].lower() != "0x":
            return text
        return text if int(text, 0 if text[:2].lower() == "0x" else 10) == 0 else ""
    if dimension and dimension[0].op("-"):
        return "a negative number"
    return ""


class DeclarationLint:
    """Looks at everything that is declared, but not into bodies."""

    def __init__(self, shapes: Shapes, builtins: Builtins, findings: Findings) -> None:
        self.shapes = shapes
        self.builtins = builtins
        self.findings = findings
        self.objects = set(shapes.records) | CALLED_WITH_OBJECTS
        self.enumerators = shapes.enumerators | builtins.constants

    def run(self) -> None:
        """All rules."""
        for function in self.shapes.functions:
            self.function(function)
            if not function.owner:
                self.free(function)
        for block in self.shapes.imports:
            for function in block.functions:
                self.params(function.params)
        for record in self.shapes.records.values():
            self.record(record)
        for declared in self.shapes.variables:
            self.variables(declared)
            self.value_of_an_input(declared)

    def value_of_an_input(self, declared: Variables) -> None:
        """A global is set once for the whole run, inputs may change at each OnInit."""
        inputs = {
            name.name
            for item in self.shapes.variables
            if item.storage & {"input", "sinput", "extern"}
            for name in item.names
        }
        for name in declared.names:
            for token in (*(name.value or ()), *(name.arguments or ())):
                if token.word() and token.text in inputs:
                    self.findings.add("L417", token.where, token.text)

    def function(self, function: Function) -> None:
        """Parameters and results."""
        self.params(function.params)
        result = function.type
        if result is None:
            return
        if result.word in self.shapes.heavy and not result.pointer:
            self.findings.add("L318", function.where, function.name)
        body = function.body
        if body is None or result.word == "void":
            return
        if not body.body or not isinstance(body.body[-1], Return):
            self.findings.add("L319", body.end, function.name)

    def free(self, function: Function) -> None:
        """Functions of the global scope: built-in names and handlers."""
        if function.name in self.builtins.functions | FUNCTIONS:
            self.findings.add("L321", function.where, function.name)
        form = HANDLERS.get(function.name)
        if form is None or function.type is None:
            return
        results, params = form
        given = tuple(param.type.word for param in function.params)
        if function.type.word not in results or given != params:
            wanted = f"{results[0]} {function.name}({', '.join(params)})"
            self.findings.add("L320", function.where, f"expected {wanted}")

    def params(self, params: Sequence[Param]) -> None:
        """What can be passed how."""
        for param in params:
            if param.dims is not None:
                if not param.type.ref:
                    self.findings.add("L305", param.where, param.name)
                self.dimensions(param.name, param.dims, param.where)
            elif param.type.word in self.objects and not param.type.ref:
                self.findings.add("L306", param.where, param.name)

    def record(self, record: Record) -> None:
        """Members."""
        base = self.shapes.records.get(record.base)
        if base is not None and base.keyword != record.keyword:
            self.findings.add("L325", record.where, record.name)
        for member in record.members:
            if isinstance(member, Variables):
                self.variables(member)
                for name in member.names:
                    if name.value is not None:
                        self.findings.add("L313", name.where, name.name)
            elif isinstance(member, Function):
                self.function(member)
                if record.keyword == "struct" and "virtual" in member.storage:
                    self.findings.add("L325", member.where, member.name)

    def variables(self, declared: Variables) -> None:
        """Dimensions of variables."""
        for name in declared.names:
            self.dimensions(name.name, name.dims, name.where)
            self.open_dimension(name)

    def open_dimension(self, name: Declarator) -> None:
        """Only the first dimension may be open."""
        if any(not dimension for dimension in name.dims[1:]):
            self.findings.add("L314", name.where, name.name)

    def dimensions(self, name: str, dims: Sequence[Sequence[Token]], where: Where) -> None:
        """Dimensions of one array."""
        if len(dims) > 2:
            self.findings.add("L315", where, name)
        for dimension in dims:
            breach = dimension_breach(dimension, self.enumerators)
            if breach:
                self.findings.add("L314", where, f"{name}[{breach}]")

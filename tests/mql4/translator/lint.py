"""The lint: every rule that needs no types beyond what a declaration says."""

from __future__ import annotations

from collections.abc import Sequence

from tests.mql4.translator.builtins import Builtins
from tests.mql4.translator.findings import Findings
from tests.mql4.translator.lint_bodies import BodyLint
from tests.mql4.translator.lint_declarations import DeclarationLint
from tests.mql4.translator.shapes import Shapes
from tests.mql4.translator.tokens import Token
from tests.mql4.translator.tree import Function, Program
from tests.mql4.translator.vocabulary import FOREIGN

__all__ = ["lint"]


def lint(program: Program, stream: Sequence[Token], builtins: Builtins, findings: Findings) -> None:
    """Adds to `findings` every breach in a program; `stream` are its tokens after macros."""
    words(stream, findings)
    shapes = Shapes(program)
    DeclarationLint(shapes, builtins, findings).run()
    for function in shapes.functions:
        BodyLint(shapes, builtins, findings, function.owner).function(function)
    for record in shapes.records.values():
        for member in record.members:
            if isinstance(member, Function):
                BodyLint(shapes, builtins, findings, record.name).function(member)
    for declared in shapes.variables:
        BodyLint(shapes, builtins, findings, "").variables(declared)


def words(stream: Sequence[Token], findings: Findings) -> None:
    """Words and signs that the subset does not have at all."""
    for token in stream:
        if token.word() and token.text in FOREIGN:
            findings.add("L301", token.where, token.text)
        elif token.op("->") or token.word("new", "delete"):
            findings.add("L309", token.where, f"`{token.text}`")

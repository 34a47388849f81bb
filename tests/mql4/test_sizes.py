"""Every function and method of the Expert Advisor fits a page; its files: test_house_rules.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.mql4.toolchain import HARNESS
from tests.mql4.translator.builtins import Builtins
from tests.mql4.translator.findings import Findings
from tests.mql4.translator.lexer import lex
from tests.mql4.translator.parser import Parser
from tests.mql4.translator.tokens import Kind
from tests.mql4.translator.tree import Function, Program, Record

ROOT: Final = HARNESS.parents[1]
FUNCTION_LINES_MAX: Final = 60
MQL4: Final = sorted([*ROOT.glob("mql4/**/*.mq4"), *ROOT.glob("mql4/**/*.mqh")])


def functions(program: Program) -> Iterator[Function]:
    for item in program.items:
        if isinstance(item, Function):
            yield item
        elif isinstance(item, Record):
            yield from (member for member in item.members if isinstance(member, Function))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MQL4, ids=name_of)
def test_an_mql4_function_fits_a_page(path: Path) -> None:
    findings = Findings()
    tokens = [
        token
        for token in lex(str(path), path.read_bytes(), findings)
        if token.kind is not Kind.DIRECTIVE
    ]
    program = Parser(tokens, Builtins.of_harness().types, findings).program()
    assert [one for one in findings.sorted() if one.code == "L300"] == []
    long = {
        one.name: one.body.end.line - one.where.line + 1
        for one in functions(program)
        if one.body is not None and one.body.end.line - one.where.line + 1 > FUNCTION_LINES_MAX
    }
    assert long == {}

"""The preprocessor: directives, includes and macros; what is left is one stream of tokens.

`#import` is kept as a token, for its block holds declarations. A file is included once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.mql4.translator.findings import Findings
from tests.mql4.translator.lexer import lex, lex_line
from tests.mql4.translator.macros import Macro, Macros, define
from tests.mql4.translator.tokens import Kind, Token, Where

__all__ = ["Preprocessor"]

# What MetaEditor defines by itself (docs.mql4.com/constants/namedconstants/compilemacros).
PREDEFINED: Final = {"__MQL4__": "", "__MQL4BUILD__": "1420", "__MQLBUILD__": "1420"}


class Preprocessor:
    """Reads a main file and all that it includes."""

    def __init__(self, include_dirs: Sequence[Path], findings: Findings) -> None:
        self.include_dirs = tuple(include_dirs)
        self.findings = findings
        self.macros = Macros(findings)
        self.main = ""
        self.properties: list[str] = []
        self.files: list[Path] = []
        self.stream: list[Token] = []
        self.pending: list[Token] = []
        # For each open #ifdef: is its branch taken?
        self.branches: list[bool] = []
        self.directives: dict[str, Callable[[str, Where], None]] = {
            "property": self.on_property,
            "include": self.on_include,
            "import": self.on_import,
            "define": self.on_define,
            "undef": self.on_undef,
        }
        for name, text in PREDEFINED.items():
            body = lex_line(text, Where("predefined", 0), findings)
            self.macros.table[name] = Macro(None, tuple(body))

    def run(self, path: Path) -> list[Token]:
        """The token stream of the main file `path`, read as `str(path)`."""
        self.main = str(path)
        self.file(path)
        self.flush()
        if "strict" not in self.properties and path.suffix != ".mqh":
            self.findings.add("L201", Where(str(path), 1))
        return self.stream

    def file(self, path: Path) -> None:
        """Reads one file, unless it was read before."""
        identity = path.resolve()
        if identity in self.files:
            return
        self.files.append(identity)
        depth = len(self.branches)
        tokens = lex(str(path), path.read_bytes(), self.findings)
        for token in tokens:
            if token.kind is Kind.DIRECTIVE:
                self.directive(token)
            elif all(self.branches):
                self.pending.append(token)
        if len(self.branches) != depth:
            last = tokens[-1].where if tokens else Where(str(path), 1)
            self.findings.add("L205", last)
            del self.branches[depth:]

    def flush(self) -> None:
        """Expands what was read since the last directive."""
        self.stream += self.macros.expand(self.pending)
        self.pending = []

    def directive(self, token: Token) -> None:
        """Obeys one directive."""
        match = re.match(r"#\s*(\w*)\s*(.*)", token.text, re.DOTALL)
        assert match is not None
        word, rest = match.group(1), match.group(2)
        if word in ("ifdef", "ifndef", "else", "endif"):
            self.condition(word, rest, token.where)
        elif not all(self.branches):
            return
        elif word in self.directives:
            self.flush()
            self.directives[word](rest, token.where)
        else:
            self.findings.add("L202", token.where, f"#{word}")

    def condition(self, word: str, rest: str, where: Where) -> None:
        """`#ifdef` and its companions."""
        self.flush()
        if word in ("ifdef", "ifndef"):
            name = rest.split(maxsplit=1)[0] if rest.split() else ""
            self.branches.append((name in self.macros.table) == (word == "ifdef"))
        elif not self.branches:
            self.findings.add("L205", where, f"#{word}")
        elif word == "else":
            self.branches[-1] = not self.branches[-1]
        else:
            self.branches.pop()

    def on_property(self, rest: str, where: Where) -> None:
        """Keeps `#property`; those of headers count for nothing."""
        if where.path == self.main:
            self.properties.append(rest.split("//", maxsplit=1)[0].strip())

    def on_define(self, rest: str, where: Where) -> None:
        """`#define`."""
        made = define(lex_line(rest, where, self.findings))
        if made is None:
            self.findings.add("L204", where, "#define")
        else:
            self.macros.table[made[0]] = made[1]

    def on_undef(self, rest: str, where: Where) -> None:
        """`#undef`."""
        words = rest.split()
        self.macros.table.pop(words[0] if words else "", None)

    def on_include(self, rest: str, where: Where) -> None:
        """`#include`, in quotes from the file's own folder first."""
        match = re.match(r'"([^"]*)"|<([^>]*)>', rest)
        if match is None:
            self.findings.add("L204", where, "#include")
            return
        name = (match.group(1) or match.group(2) or "").replace("\\", "/")
        beside = [Path(where.path).parent] if match.group(1) else []
        for folder in [*beside, *self.include_dirs]:
            if (folder / name).is_file():
                self.file(folder / name)
                return
        self.findings.add("L203", where, name)

    def on_import(self, rest: str, where: Where) -> None:
        """`#import "x.dll"` begins a block, `#import` alone ends it."""
        match = re.match(r'"([^"]*)"', rest)
        self.stream.append(Token(Kind.IMPORT, match.group(1) if match else "", where))

"""Bytes to tokens, with the rules about text itself (ASCII, numbers, escapes, name length)."""

from __future__ import annotations

import re
from typing import Final

from tests.mql4.translator.findings import Findings
from tests.mql4.translator.tokens import Kind, Token, Where

__all__ = ["NAME_CHARS_MAX", "lex", "lex_line"]

NAME_CHARS_MAX: Final = 63
ESCAPES: Final = frozenset("ntr\\\"'x0")
TOKEN: Final = re.compile(
    r"""
    (?P<space>[ \t\r\f\v]+) | (?P<line>\n) | (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<TEXT>"(?:\\.|[^"\\\n])*")
  | (?P<DATE>D'[^'\n]*') | (?P<COLOR>C'[^'\n]*')
  | (?P<CHAR>'(?:\\[xX][0-9A-Fa-f]{1,4}|\\.|[^'\\\n])')
  | (?P<NUMBER>0[xX][0-9A-Fa-f]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?)
  | (?P<WORD>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<DIRECTIVE>\#(?:\\\n|[^\n])*)
  | (?P<HASH>\x00\x00?)
  | (?P<OP>::|<<=|>>=|\+\+|--|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|->|[-+*/%&|^~!<>=?:;,.(){}\[\]])
  | (?P<bad>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def lex(path: str, data: bytes, findings: Findings) -> list[Token]:
    """The tokens of one file; directives are single tokens, comments are gone."""
    return Lexer(path, decode(path, data, findings), findings).run()


def decode(path: str, data: bytes, findings: Findings) -> str:
    """The text of a file, with LF line ends."""
    first = Where(path, 1)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        findings.add("L101", first)
        return data.decode("utf-16", "replace").replace("\r\n", "\n")
    if data[:3] == b"\xef\xbb\xbf":
        findings.add("L101", first)
        data = data[3:]
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    for number, line in enumerate(text.split("\n"), 1):
        if not line.isascii():
            findings.add("L102", Where(path, number))
    return text


def lex_line(text: str, where: Where, findings: Findings) -> list[Token]:
    """The tokens behind a directive's word; `#` and `##` are operators here."""
    joined = text.replace("\\\n", " ").replace("#", "\0")
    lexer = Lexer(where.path, joined, findings)
    lexer.hashes = True
    tokens = lexer.run()
    return [token._replace(text=token.text.replace("\0", "#"), where=where) for token in tokens]


class Lexer:
    """One pass over one text."""

    def __init__(self, path: str, text: str, findings: Findings) -> None:
        self.path = path
        self.text = text
        self.findings = findings
        self.line = 1
        self.hashes = False  # whether `#` and `##` are operators, written as zeros
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        """All tokens of the text."""
        at, spaced, first = 0, True, True
        while at < len(self.text):
            match = TOKEN.match(self.text, at)
            assert match is not None
            group, text = str(match.lastgroup), match.group()
            at = match.end()
            if group in ("space", "comment"):
                spaced = True
            elif group == "line":
                spaced = first = True
            else:
                self.take(group, text, spaced=spaced, first=first)
                spaced = first = False
                if group == "NUMBER":
                    at = self.suffix(at)
                elif text == "/" and self.text.startswith("*", at):
                    self.findings.add("L107", Where(self.path, self.line), "/*")
            self.line += text.count("\n")
        return self.tokens

    def take(self, group: str, text: str, *, spaced: bool, first: bool) -> None:
        """Checks one token and keeps it."""
        where = Where(self.path, self.line)
        if group == "HASH":
            group = "OP" if self.hashes else "bad"
        if group == "bad" or (group == "DIRECTIVE" and not first):
            code = "L107" if text in "\"'" else "L103"
            self.findings.add(code, where, repr(text[:1]))
            return
        if group in ("TEXT", "CHAR"):
            for escape in re.findall(r"\\(.)", text):
                if escape not in ESCAPES:
                    self.findings.add("L105", where, f"\\{escape}")
        if group == "WORD" and len(text) > NAME_CHARS_MAX:
            self.findings.add("L106", where, f"{text[:20]}...")
        self.tokens.append(Token(Kind[group], text, where, spaced))

    def suffix(self, at: int) -> int:
        """Refuses letters that stick to a number, and steps over them."""
        match = re.compile(r"[A-Za-z_]\w*|'\w*").match(self.text, at)
        if match is None:
            return at
        number = self.tokens[-1].text + match.group()
        self.findings.add("L104", Where(self.path, self.line), number)
        return match.end()

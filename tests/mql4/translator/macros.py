"""Macros: definition and expansion, as MQL4 has them (arguments, `#` and `##`, no variadics)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.mql4.translator.findings import Findings
from tests.mql4.translator.tokens import CLOSERS, OPENERS, Kind, Token, Where

__all__ = ["Macro", "Macros", "define"]


class Macro(NamedTuple):
    """One `#define`; `params` is None for a macro without a parameter list."""

    params: tuple[str, ...] | None
    body: tuple[Token, ...]


def define(tokens: Sequence[Token]) -> tuple[str, Macro] | None:
    """The macro that the tokens behind `#define` say; None if they are malformed."""
    if not tokens or tokens[0].kind is not Kind.WORD:
        return None
    name, rest = tokens[0].text, tokens[1:]
    if not rest or not rest[0].op("(") or rest[0].spaced:
        return name, Macro(None, tuple(rest))
    params: list[str] = []
    for at, token in enumerate(rest[1:], 1):
        if token.op(")"):
            return name, Macro(tuple(params), tuple(rest[at + 1 :]))
        if token.word():
            params.append(token.text)
        elif not token.op(","):
            return None
    return None


class Macros:
    """The macros in force, and the expansion of tokens by them."""

    def __init__(self, findings: Findings) -> None:
        self.table: dict[str, Macro] = {}
        self.findings = findings

    def expand(self, tokens: Sequence[Token], hidden: frozenset[str] = frozenset()) -> list[Token]:
        """The tokens with every macro replaced; each keeps the line where the macro was used."""
        out: list[Token] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            macro = self.table.get(token.text) if token.word() else None
            at += 1
            if token.word("__LINE__"):
                out.append(token._replace(kind=Kind.NUMBER, text=str(token.where.line)))
            elif macro is None or token.text in hidden:
                out.append(token)
            elif macro.params is None:
                body = self.moved(self.paste(macro.body, {}, {}), token.where)
                out += self.expand(body, hidden | {token.text})
            elif at < len(tokens) and tokens[at].op("("):
                arguments, at = self.arguments(tokens, at)
                out += self.call(token, macro, arguments, hidden)
            else:
                out.append(token)
        return out

    def arguments(self, tokens: Sequence[Token], at: int) -> tuple[list[list[Token]], int]:
        """The arguments of a call whose `(` is at `at`, and the index behind its `)`."""
        depth, current = 0, list[Token]()
        arguments = [current]
        start = at
        while at < len(tokens):
            token = tokens[at]
            at += 1
            depth += token.kind is Kind.OP and token.text in OPENERS
            depth -= token.kind is Kind.OP and token.text in CLOSERS
            if depth == 0:
                return arguments, at
            if depth == 1 and token.op(","):
                current = []
                arguments.append(current)
            elif at - 1 != start:
                current.append(token)
        self.findings.add("L204", tokens[start].where, "macro call without its )")
        return arguments, at

    def call(
        self, name: Token, macro: Macro, arguments: list[list[Token]], hidden: frozenset[str]
    ) -> list[Token]:
        """The expansion of one call."""
        assert macro.params is not None
        if not macro.params and arguments == [[]]:
            arguments = []
        if len(arguments) != len(macro.params):
            self.findings.add("L204", name.where, f"{name.text} takes {len(macro.params)} values")
            return []
        plain = dict(zip(macro.params, arguments, strict=True))
        full = {param: self.expand(value, hidden) for param, value in plain.items()}
        body = self.paste(macro.body, plain, full)
        return self.expand(self.moved(body, name.where), hidden | {name.text})

    @staticmethod
    def moved(tokens: Sequence[Token], where: Where) -> list[Token]:
        """The tokens as if written at `where`."""
        return [token._replace(where=where) for token in tokens]

    @staticmethod
    def paste(
        body: Sequence[Token], plain: dict[str, list[Token]], full: dict[str, list[Token]]
    ) -> list[Token]:
        """The body with its parameters filled in, `#x` made text and `a##b` one word."""
        out: list[Token] = []
        at, joining = 0, False
        while at < len(body):
            token = body[at]
            following = body[at + 1] if at + 1 < len(body) else None
            at += 1
            if token.text == "##":
                joining = True
                continue
            if token.text == "#" and following is not None and following.text in plain:
                words = " ".join(part.text for part in plain[following.text])
                text = words.replace("\\", "\\\\").replace('"', '\\"')
                out.append(token._replace(kind=Kind.TEXT, text=f'"{text}"'))
                at += 1
                continue
            beside = joining or (following is not None and following.text == "##")
            piece = (plain if beside else full).get(token.text, [token])
            if joining and out and piece:
                glued = out[-1].text + piece[0].text
                out[-1] = out[-1]._replace(text=glued)
                piece = piece[1:]
            out += piece
            joining = False
        return out

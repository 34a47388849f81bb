"""Literals of MQL4 as C++ text."""

from __future__ import annotations

import calendar
import re
from typing import Final

from tests.mql4.translator.tokens import SourceError, Token

__all__ = ["character", "color", "moment", "number", "text"]

DATE: Final = re.compile(r"(?:(\d+)\.(\d+)\.(\d+))?\s*(?:(\d+)(?::(\d+)(?::(\d+))?)?)?$")


def number(token: Token) -> str:
    """A number; a leading zero does not make it octal in MQL4."""
    if re.fullmatch(r"0\d+", token.text):
        return token.text.lstrip("0") or "0"
    return token.text


def escaped(raw: str) -> str:
    """The inside of a text or character, `\\x41` as the fixed form that C++ cannot misread."""
    return re.sub(
        r"\\[xX]([0-9A-Fa-f]{1,4})|(\\.)",
        lambda m: (
            m.group(2) or f"\\u{int(m.group(1), 16):04x}"
            if m.group(2) or int(m.group(1), 16) >= 0xA0
            else f"\\{int(m.group(1), 16):03o}"
        ),
        raw,
        flags=re.DOTALL,
    )


def text(token: Token) -> str:
    """A text; `_S` keeps zero characters inside it."""
    return f'_S(u"{escaped(token.text[1:-1])}")'


def character(token: Token) -> str:
    """A character is a ushort."""
    inside = token.text[1:-1]
    return f"((ushort)u'{escaped(inside)}')"


def moment(token: Token) -> str:
    """`D'2020.01.01 00:00'` or `D'01.01.2020'` as seconds."""
    match = DATE.match(token.text[2:-1].strip())
    if match is None:
        raise SourceError(token.where, f"{token.text} is no date: D'2020.01.31 23:59:59'")
    one, month, three, *clock = (int(part or 0) for part in match.groups())
    year, day = (one, three) if one > 31 else (three, one)
    if match.group(1) is None:
        year, month, day = 1970, 1, 1
    hour, minute, second = clock
    in_range = year >= 1970 and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 60
    if not in_range or not 1 <= day <= calendar.monthrange(year, month)[1]:
        raise SourceError(token.where, f"{token.text}: there is no such time")
    return f"datetime({calendar.timegm((year, month, day, hour, minute, second))}L)"


def color(token: Token) -> str:
    """`C'1,2,3'`: red is the lowest byte."""
    parts = [part.strip() for part in token.text[2:-1].split(",")]
    try:
        red, green, blue = (int(part, 0) for part in parts)
    except ValueError:
        raise SourceError(token.where, f"{token.text} is no color: C'255,128,0'") from None
    if max(red, green, blue) > 255 or min(red, green, blue) < 0:
        raise SourceError(token.where, f"{token.text}: each part is 0 to 255")
    return f"((color){red | green << 8 | blue << 16})"

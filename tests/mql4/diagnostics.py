"""Compiling a translated unit, and the compiler's messages as lines of MQL4 source."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.mql4.toolchain import HARNESS, STANDARD, WARNINGS, compiler

__all__ = ["Message", "compile_unit", "plain", "read_messages"]

LINE: Final = re.compile(
    r"^(?P<path>[^:\n]+):(?P<line>\d+): (?P<kind>error|warning): (?P<text>.*)$"
)
ORIGIN: Final = re.compile(r"^(?P<path>[^:\n]+):(?P<line>\d+):\s+required from (?:here|.*)$")
OPTION: Final = re.compile(r" \[-W(?:error=)?(?P<name>[\w=-]+)\]$")
# How g++ speaks of what the translator put in, and what an author of MQL4 calls it.
WORDS: Final = (
    (re.compile(r"MqlArray<([^<>]*(?:<[^<>]*>)?)>"), r"\1[]"),
    (re.compile(r"\b(?:ea::|struct |class )"), ""),
    (re.compile(r"{aka '[^']*'}"), ""),
    (re.compile(r"__lv\b"), ""),
)
# What g++ says when it meets a rule of MQL4 that the run-time states as a deleted function.
MEANINGS: Final = (
    (
        re.compile(r"use of deleted function 'Lv<.*\[with T = (?P<type>[^\]]+)\]"),
        "a `const {type} &` parameter takes a variable, no literal or temporary",
    ),
    (
        re.compile(r"use of deleted function 'string operator\+.*\[with T = (?P<type>[^;\]]+)"),
        "string + {type}: write (string)x",
    ),
    (
        re.compile(r"use of deleted function '(?:MqlArray<.*>::operator=|.*\[\]::operator=)"),
        "an array is not assigned: ArrayCopy",
    ),
    (
        re.compile(r"use of deleted function '(?:\w+::)?(?P<type>\w+)(?:& (?:\w+::)*operator=|::)"),
        "{type} holds a string or a dynamic array: it is not copied",
    ),
    (
        re.compile(r"no match for 'operator(?P<sign>[/%])' .*MqlDividend<(?P<type>[^>]*)>"),
        "{type} {sign} ...: the operands do not fit",
    ),
)


class Message(NamedTuple):
    """One message: a lint code, or `error`, or the name of the compiler's warning."""

    path: str
    line: int
    code: str
    text: str


def compile_unit(
    unit: str, folder: Path, options: Sequence[str] = ("-O1",), timeout_s: float = 1_200
) -> list[Message]:
    """Compiles a unit with every warning as an error; `folder` takes the files it needs.

    Raises FileNotFoundError if there is no compiler.
    """
    command = compiler()
    if command is None:
        raise FileNotFoundError("no C++ compiler")
    source = folder / "unit.cpp"
    source.write_text(unit, "utf-8")
    made = subprocess.run(
        [
            "nice", "-n", "5", command, *STANDARD, *WARNINGS, *options, "-fmax-errors=0",
            "-fno-show-column", "-fno-diagnostics-show-caret", "-fdiagnostics-color=never",
            "-c", str(source), "-o", str(folder / "unit.o"),
        ],
        capture_output=True, text=True, timeout=timeout_s, check=False,
        env={"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )  # fmt: skip
    messages = read_messages(made.stderr)
    if made.returncode and not messages:
        messages.append(Message(str(source), 0, "error", made.stderr.strip()[-2000:]))
    return messages


def read_messages(output: str) -> list[Message]:
    """g++'s errors and warnings; one inside the harness's headers moves to where it came from."""
    messages: list[Message] = []
    origin: tuple[str, int] | None = None
    for line in output.splitlines():
        match = ORIGIN.match(line)
        if match is not None:
            if not match["path"].startswith(str(HARNESS)):
                origin = (match["path"], int(match["line"]))
            continue
        match = LINE.match(line)
        if match is None:
            continue
        path, number = match["path"], int(match["line"])
        if path.startswith(str(HARNESS)) and origin is not None:
            path, number = origin
        option = OPTION.search(match["text"])
        text = plain(OPTION.sub("", match["text"]))
        code = f"-W{option['name']}" if option else match["kind"]
        message = Message(path, number, code, " ".join(text.split()))
        if message not in messages:
            messages.append(message)
        origin = None
    return messages


def plain(text: str) -> str:
    """A message of g++ in the words of MQL4."""
    for pattern, meaning in MEANINGS:
        match = pattern.search(text)
        if match is not None:
            names = {name: _short(value) for name, value in match.groupdict().items()}
            return meaning.format(**names)
    for pattern, word in WORDS:
        text = pattern.sub(word, text)
    return text


def _short(name: str) -> str:
    """A type without the namespace it was put into."""
    return re.sub(r"\b\w+::", "", name)

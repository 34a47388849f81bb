"""`wheel_answers.json`: what the wheel answered to every case, folded so that people can read it.

Most arguments behave as one of a few kinds (an unsigned 64-bit number, a text of at most 29 units,
...). A kind is written once, with `<f>` for the function and `<k>` for the argument, and then come
the arguments that are of it. `python -m tests.windows.wheel_file` asks the real wheel and writes
the file anew; a test compares (test_wheel.py on Windows, test_stand_in.py for our stand-in).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.windows.wheel_cases import answers

__all__ = ["FILE", "differences", "fold", "recorded"]

FILE: Final = Path(__file__).with_name("wheel_answers.json")
Said = dict[str, dict[str, list[object]]]
# "<answer> | <last_error code> <its text>" -> the values that get it
Kind = dict[str, list[str]]


def _neutral(where: str, answer: list[object]) -> str:
    function, _, key = where.partition(" ")
    text = f"{answer[0]} | {answer[1]} {answer[2]}"
    text = text.replace(f"function {function}>", "function <f>>").replace(f"{function}()", "<f>()")
    return text.replace(f'"{key}"', '"<k>"') if key else text


def fold(said: Said) -> dict[str, Any]:
    """Return the file's content for the answers to every case."""
    kinds: dict[str, tuple[Kind, list[str]]] = {}
    for where, answered in said.items():
        kind: Kind = {}
        for word, answer in answered.items():
            kind.setdefault(_neutral(where, answer), []).append(word)
        kinds.setdefault(json.dumps(kind), (kind, []))[1].append(where)
    return {", ".join(wheres): kind for kind, wheres in kinds.values()}


def _as_text(folded: dict[str, Kind]) -> str:
    """One line for each answer, so that a change of the wheel reads well as a diff."""
    kinds = [
        f"{json.dumps(wheres)}: {{\n"
        + ",\n".join(
            f"  {json.dumps(answer)}: {json.dumps(words)}" for answer, words in kind.items()
        )
        + "\n}"
        for wheres, kind in folded.items()
    ]
    return "{\n" + ",\n".join(kinds) + "\n}\n"


def _unfold(folded: dict[str, Kind]) -> dict[str, str]:
    return {
        f"{where}: {word}": answer
        for wheres, kind in folded.items()
        for where in wheres.split(", ")
        for answer, words in kind.items()
        for word in words
    }


def recorded() -> dict[str, str]:
    """Return label -> neutral answer, as the wheel gave them."""
    return _unfold(json.loads(FILE.read_text("utf-8")))


def differences(module: Any) -> list[str]:
    """Ask a freshly imported module; one line for each case that it answers otherwise."""
    said, wanted = _unfold(fold(answers(module))), recorded()
    return [
        f"{label}\n    wheel: {wanted.get(label)}\n    here:  {said.get(label)}"
        for label in sorted(said.keys() | wanted.keys())
        if said.get(label) != wanted.get(label)
    ]


if __name__ == "__main__":
    import MetaTrader5

    FILE.write_text(_as_text(fold(answers(MetaTrader5))), "utf-8", newline="\n")

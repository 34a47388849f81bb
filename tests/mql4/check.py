"""`make ea-check`: would MetaEditor take this source, and does the harness understand it?

    python -m tests.mql4.check [FILE.mq4 ...] [--include DIR] [--lint-only] [--rules]

Lints, translates to C++ and compiles with every warning as an error; each message stands at the
line of the .mq4 or .mqh file. Without files: every program under mql4/. Files may lie anywhere;
`#include <...>` is looked up in --include, in mql4/Include and in an Include folder beside or above
the file. Exit code 0: clean; 1: findings; 2: could not be checked (file or compiler missing).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.mql4.diagnostics import Message, compile_unit
from tests.mql4.libraries import import_findings
from tests.mql4.toolchain import MISSING, compiler
from tests.mql4.translator.findings import RULES
from tests.mql4.translator.translate import translate

__all__ = ["EXIT_CLEAN", "EXIT_FINDINGS", "EXIT_UNCHECKED", "check", "include_dirs", "main"]

ROOT: Final = Path(__file__).resolve().parents[2]
EXIT_CLEAN: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_UNCHECKED: Final = 2


def include_dirs(path: Path, given: Sequence[Path] = ()) -> list[Path]:
    """Where `#include <...>` of a main file is looked up."""
    above = [folder / "Include" for folder in path.resolve().parents]
    found = [folder for folder in above if folder.is_dir()]
    return [*given, *found, ROOT / "mql4" / "Include"]


def check(path: Path, given: Sequence[Path], *, lint_only: bool) -> list[Message]:
    """All that is wrong with one main file; its headers are checked with it.

    Raises OSError if the file cannot be read.
    """
    made = translate(path, include_dirs(path, given))
    if made.findings or lint_only:
        return [Message(f.where.path, f.where.line, f.code, f.message) for f in made.findings]
    with tempfile.TemporaryDirectory() as folder:
        return compile_unit(made.unit(), Path(folder)) + import_findings(made.unit())


def show(message: Message) -> str:
    """A message with the line it is about."""
    text = f"{_short(message.path)}:{message.line}: {message.code}: {message.text}"
    try:
        lines = Path(message.path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return text
    source = lines[message.line - 1].strip() if 0 < message.line <= len(lines) else ""
    return f"{text}\n    {source}" if source else text


def _short(path: str) -> str:
    """A path from the project's root if it is inside, else as it is."""
    try:
        return str(Path(path).resolve().relative_to(ROOT))
    except ValueError:
        return path


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mql4.check", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.mq4")
    parser.add_argument("--include", action="append", type=Path, default=[], metavar="DIR")
    parser.add_argument("--lint-only", action="store_true", help="no compiler needed")
    parser.add_argument("--rules", action="store_true", help="list the lint rules and stop")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    arguments = _arguments(argv)
    if arguments.rules:
        print("\n".join(f"{code}  {rule}" for code, rule in RULES.items()))
        return EXIT_CLEAN
    files: list[Path] = arguments.files or sorted((ROOT / "mql4").rglob("*.mq4"))
    if not files:
        print("no .mq4 file under mql4/", file=sys.stderr)
        return EXIT_UNCHECKED
    if not arguments.lint_only and compiler() is None:
        print(f"no C++ compiler: {MISSING} (or --lint-only)", file=sys.stderr)
        return EXIT_UNCHECKED
    count, unread = 0, False
    for path in files:
        try:
            messages = check(path, arguments.include, lint_only=arguments.lint_only)
        except OSError as error:
            print(f"{path}: {error.strerror}", file=sys.stderr)
            unread = True
            continue
        print(f"{_short(str(path))}: {len(messages) or 'no'} finding{'s' * (len(messages) != 1)}")
        for message in messages:
            print(show(message))
        count += len(messages)
    if unread:
        return EXIT_UNCHECKED
    return EXIT_FINDINGS if count else EXIT_CLEAN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

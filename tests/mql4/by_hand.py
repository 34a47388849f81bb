"""A terminal by hand: start it with a program, type control commands, read what it says.

    python -m tests.mql4.terminal FOLDER [options]

Type one command a line (`price EURUSD 1.085 1.0851`, `orders`, `fail OrderSend 138`; `help` lists
them); end with Ctrl-D or `quit`. The broker's book stays in FOLDER for the next start.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.mql4.build import BuildError
from tests.mql4.terminal import BrokerTerms, CommandError, Terminal, TerminalDiedError
from tests.mql4.toolchain import HARNESS

__all__ = ["main", "usages"]

_USAGE: Final = re.compile(r"\{\"(?P<name>\w+)\", \{\w+, \d+, \d+,(?P<text>(?:\s*\"[^\"]*\")+)")


def usages() -> list[str]:
    """The usage line of every control command, as the terminal's own tables have it."""
    tables = (HARNESS / "simulator").glob("commands_*.cpp")
    return sorted(
        "".join(re.findall(r'"([^"]*)"', match["text"]))
        for path in tables
        for match in _USAGE.finditer(path.read_text("utf-8"))
    )


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mql4.terminal", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("folder", type=Path, help="of this terminal: MQL4/Files, the broker's book")
    parser.add_argument("--source", default="Experts/BridgeEA.mq4", help="main file")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--file", action="append", type=Path, default=[],
                        help="copy it into MQL4/Files first (a key file)")  # fmt: skip
    parser.add_argument("--walk", type=int, default=0, metavar="MS",
                        help="let the first symbol's price walk, a quote each MS")  # fmt: skip
    parser.add_argument("--account", type=int, default=BrokerTerms().account)
    parser.add_argument("--server", default=BrokerTerms().server)
    parser.add_argument("--sanitize", action="store_true", help="with ASan and UBSan (slower)")
    return parser.parse_args(argv)


def _talk(terminal: Terminal) -> None:
    told = 0
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        if words == ["help"]:
            print("\n".join(usages()))
        elif words:
            try:
                print(json.dumps(terminal.command(*words)))
            except CommandError as error:
                print(error)
        for event in terminal.events[told:]:
            print(json.dumps(event))
        told = len(terminal.events)


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    arguments = _arguments(argv)
    inputs = dict(pair.partition("=")[::2] for pair in arguments.input)
    terms = BrokerTerms(account=arguments.account, server=arguments.server)
    terminal = Terminal(
        arguments.folder,
        inputs=inputs,
        terms=terms,
        sanitize=arguments.sanitize,
        source=arguments.source,
    )
    for path in arguments.file:
        shutil.copy(path, terminal.files)
    if arguments.walk:
        terminal.command("walk", terms.symbols[0].name, 1, arguments.walk)
    try:
        with terminal:
            print(f"OnInit returned {terminal.start()}", flush=True)
            _talk(terminal)
    except (BuildError, CommandError, TerminalDiedError, AssertionError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0

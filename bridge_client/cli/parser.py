"""The command table as an argparse parser whose errors are one sentence with the fix."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from bridge_client.cli.arguments import nearest
from bridge_client.cli.commands import COMMANDS, Command
from bridge_client.cli.exits import UsageError

__all__ = ["Parsed", "command_of", "parse", "resolve"]

Parsed = argparse.Namespace

_GROUPS: Final = {
    "start": "get started", "know": "know", "trade": "trade", "stop": "stop and go on",
    "record": "the record",
}  # fmt: skip
# By command, else by group; the whole table is in README.
_EXITS: Final = {
    "ping": "0 answered, 1 answered but refused, 2 no answer, 3 usage",
    "health": "0 all ok, 1 degraded, 2 a hop is down, 3 could not check, 5 halted",
    "doctor": "0 all ok, 1 warning, 2 a hop is down or a check fails, 3 could not check, 5 halted",
    "risk": "0 shown, 1 a limit here is latched, 2 no answer: the connector's own only, 3 usage",
    "report": "0 shown, 1 the record does not hold, 2 a hop is down: what is known, 3 usage",
    "audit show": "0 shown, 2 the server did not answer: what this machine knows, 3 usage",
    "audit verify": "0 it holds, 1 it does not, 2 no answer, 3 usage or not readable",
    "alerts test": "0 taken, 1 refused by the receiver, 2 nobody answered, 3 usage or not set up",
    "fence": "0 dead for ever, 1 it ran, 2 no answer, 3 usage, 4 not known yet",
    "trade": "0 done, 1 rejected by the broker, 2 nothing left this machine, 3 usage,\n"
    "           4 not known yet: `ztb wait` before anything else, 5 denied",
    "stop": "0 done, 2 nothing left this machine, 3 usage, 4 not known yet, 5 denied",
}
_GLOBAL_VALUES: Final = ("--config",)
_BY_NAME: Final = {command.name: command for command in COMMANDS}
_FIRST_WORDS: Final = tuple(dict.fromkeys(name.split()[0] for name in _BY_NAME))
_USAGE: Final = "ztb [--config FILE] [--json] COMMAND ..."


class _Parser(argparse.ArgumentParser):
    """argparse, but an error is an exception, and the exit code is ours."""

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ")
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _shared(parser: argparse.ArgumentParser) -> None:
    # SUPPRESS: the flag may stand before or after the command, neither overwrites the other.
    none = argparse.SUPPRESS
    parser.add_argument("--config", metavar="FILE", default=none, help="connector.toml to use")
    parser.add_argument("--json", action="store_true", default=none, help="one JSON object")
    parser.add_argument("--no-color", action="store_true", default=none, help="never colour")
    parser.add_argument("--quiet", action="store_true", default=none, help="data only, no talk")


def _front_page() -> str:
    lines = []
    for group, title in _GROUPS.items():
        lines.append(f"{title}:")
        lines += [f"  {c.name:<14}{c.help}" for c in COMMANDS if c.group == group]
        lines.append("")
    lines.append("`ztb COMMAND --help` says more; `ztb explain CODE` explains an answer.")
    return "\n".join(lines)


def _front() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ztb",
        usage=_USAGE,
        description="The strategy's side of the bridge: look, trade, stop, check.",
        epilog=_front_page(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _shared(parser)
    return parser


def _below(command: Command) -> str:
    codes = _EXITS.get(command.name) or _EXITS.get(command.group, "")
    lines = [f"exit code: {codes}"] if codes else []
    if command.example:
        lines.append(f"example: {command.example}")
    return "\n".join(lines)


def _one(command: Command) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"ztb {command.name}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        epilog=_below(command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for flags, options in command.args:
        parser.add_argument(*flags, **options)
    _shared(parser)
    return parser


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words before the command, and the rest."""
    index = 0
    while index < len(words) and words[index].startswith("-"):
        index += 2 if words[index] in _GLOBAL_VALUES else 1
    return list(words[:index]), list(words[index:])


def _refuse_command(word: str, names: Sequence[str]) -> UsageError:
    hint = nearest(word, names)
    return UsageError(f"there is no command {word!r}{hint}; `ztb --help` lists all", "NO_COMMAND")


def command_of(words: Sequence[str]) -> Command:
    """Return the command that these words (from the command on) name.

    Raises:
        UsageError: no such command; names the nearest.
    """
    first = words[0]
    if first in _BY_NAME:
        return _BY_NAME[first]
    if first not in _FIRST_WORDS:
        raise _refuse_command(first, _FIRST_WORDS)
    seconds = [name.split()[1] for name in _BY_NAME if name.startswith(f"{first} ")]
    if len(words) < 2 or words[1].startswith("-"):
        raise UsageError(f"`ztb {first}` needs one of: {' '.join(seconds)}", "NO_COMMAND")
    if words[1] not in seconds:
        hint = nearest(words[1], seconds)
        raise UsageError(
            f"there is no `ztb {first} {words[1]}`{hint}; use one of: {' '.join(seconds)}",
            "NO_COMMAND",
        )
    return _BY_NAME[f"{first} {words[1]}"]


def resolve(words: Sequence[str]) -> tuple[Command, Parsed, list[str]]:
    """Return the command, what was given before it, and its own words.

    Raises:
        UsageError: none, or no such command or flag; one sentence with the nearest name.
        SystemExit: `--help` was printed.
    """
    before, rest = _split(words)
    front = _front()
    given, extras = front.parse_known_args(before)
    if extras:
        raise _refuse_flags(front, extras)
    if not rest:
        front.print_help(sys.stderr)
        raise UsageError("name a command, e.g. `ztb health`", "NO_COMMAND")
    command = command_of(rest)
    return command, given, rest[len(command.name.split()) :]


def parse(command: Command, given: Parsed, words: Sequence[str]) -> Parsed:
    """Return the command's arguments added to what was given before it.

    Raises:
        UsageError: the words make no sense; one sentence with the nearest name.
        SystemExit: `--help` was printed.
    """
    parser = _one(command)
    parsed, extras = parser.parse_known_args(words, given)
    if extras:
        raise _refuse_flags(parser, extras)
    return parsed


def _refuse_flags(parser: argparse.ArgumentParser, extras: Sequence[str]) -> UsageError:
    flags = [extra for extra in extras if extra.startswith("-")]
    known = [name for action in _actions(parser) for name in action.option_strings]
    if flags:
        flag = flags[0].split("=")[0]
        hint = nearest(flag, known)
        return UsageError(f"there is no option {flag}{hint}; see `{parser.prog} --help`")
    return UsageError(f"{extras[0]!r} is one word too many; see `{parser.prog} --help`")


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001  (argparse offers no public list)

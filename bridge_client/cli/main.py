"""Run one command: parse, import what it needs, translate every ending into an exit code."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from bridge_client.cli.exits import Exit, exit_of_error
from bridge_client.cli.output import Answer, Console
from bridge_client.cli.parser import parse, resolve
from bridge_core.protocol.errors import (
    BridgeError,
    ConfigError,
    LocalProtocolError,
    TransportError,
)

if TYPE_CHECKING:
    from bridge_client.cli.commands import Command
    from bridge_client.cli.parser import Parsed

__all__ = ["Context", "main"]


class Context(NamedTuple):
    """What a command is given."""

    args: Parsed
    out: Console


_WHY: Final = re.compile(r"why=(['\"])(.*)\1")
Run = Callable[[Context], Answer]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ztb` with these words (the process's own without) and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    out = Console(
        json="--json" in words, colour="--no-color" not in words, quiet="--quiet" in words
    )
    try:
        code = _run(words, out)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left (`ztb ... | head`); stdout must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code


def _run(words: Sequence[str], out: Console) -> int:
    command: Command | None = None
    try:
        command, given, own = resolve(words)
        args = parse(command, given, own)
        return out.finish(command.name, _load(command.run)(Context(args, out)))
    except SystemExit as end:  # argparse printed its help
        return int(end.code or 0)
    except BridgeError as error:
        return _failed(command, error, out)
    except KeyboardInterrupt:
        return _failed(command, _InterruptedError(), out)
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _failed(command, ConfigError("FILE", f"{place}{error.strerror or error}"), out)
    except Exception as error:  # noqa: BLE001  (a bug must not look like the broker's word)
        traceback.print_exc()
        return _failed(command, _BugError("BUG", f"{type(error).__name__}: report it"), out)


class _InterruptedError(BridgeError):
    def __init__(self) -> None:
        super().__init__(
            "INTERRUPTED", "interrupted; an order that was sent goes on, `ztb wait` tells how"
        )


class _BugError(BridgeError):
    """Something that no code of ours foresaw."""


def _load(target: str) -> Run:
    module, _, function = target.partition(":")
    return cast("Run", getattr(import_module(f"bridge_client.cli.{module}"), function))


def _exit_of(command: Command | None, error: BridgeError) -> int:
    if isinstance(error, _InterruptedError):
        return Exit.INTERRUPTED
    if isinstance(error, _BugError):
        # After a bug in a trade command nobody knows whether bytes have left.
        moves = command is not None and command.group in ("trade", "stop")
        return Exit.UNKNOWN if moves else Exit.USAGE
    return exit_of_error(error)


def _failed(command: Command | None, error: BridgeError, out: Console) -> int:
    """Say what ended the command: one line for people, one object for programs."""
    name = command.name if command is not None else ""
    code = _exit_of(command, error)
    out.warn(f"ztb{' ' + name if name else ''}: {_sentence(error)}")
    told = {"error": {"code": error.code, "detail": error.detail}}
    return out.finish(name, Answer(code, told))


def _sentence(error: BridgeError) -> str:
    from bridge_core.protocol.code_table import CODES  # noqa: PLC0415  (only a failure needs it)

    detail = error.detail or error.code
    if isinstance(error, TransportError):
        return f"the server did not answer ({detail}): start it, or let `ztb doctor` find out why"
    if isinstance(error, LocalProtocolError):
        # Our own words; the codes of the wire mean something else.
        why = _WHY.search(detail)
        rest = _WHY.sub("", detail).strip()
        return detail if why is None else f"{why[2]}{f' ({rest})' if rest else ''}"
    info = next((info for code, info in CODES.items() if code == error.code), None)
    if info is None:
        return detail
    return f"{error}: {info.meaning}; {info.fix}"

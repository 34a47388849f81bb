"""`ztb init --backend mt5`: which terminal the server will use, and what to do in it.

The terminal is on another machine: its path is text here, checked for its shape only.
"""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

from bridge_client.cli.exits import UsageError
from bridge_client.cli.layout import Mt5, Plan

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_client.cli.parser import Parsed

__all__ = ["SYMBOL_CHARS_MAX", "checked_mt5", "default_path", "tell_mt5"]

# MetaTrader5 package: a symbol of 30 characters is refused before it reaches the terminal.
SYMBOL_CHARS_MAX: Final = 29
_PROGRAM: Final = "terminal64.exe"
_PATH_CHARS_MAX: Final = 240  # Windows ends a path at 260 unless it is told otherwise


def default_path(name: str) -> str:
    """Return where the pages say that an account's own copy of the terminal lies."""
    return rf"C:\MT5\{name}\{_PROGRAM}"


def checked_mt5(args: Parsed, symbols: tuple[str, ...]) -> Mt5 | None:
    """Return the terminal of an account with the MetaTrader 5 backend, else None.

    Raises:
        UsageError: a flag of another backend, or a path that no terminal can have.
    """
    given = {
        "--mt5-path": args.mt5_path, "--portable": args.portable or None,
        "--margin-mode": args.margin_mode,
    }  # fmt: skip
    if args.backend != "mt5":
        named = [flag for flag, value in given.items() if value is not None]
        if named:
            raise UsageError(f"{named[0]} is for --backend mt5: add that, or leave it out", "MT5")
        return None
    long = next((one for one in symbols if len(one) > SYMBOL_CHARS_MAX), None)
    if long is not None:
        raise UsageError(
            f"{long!r} is too long: MetaTrader 5's package takes {SYMBOL_CHARS_MAX} characters; "
            "copy the name from Market Watch",
            "SYMBOL",
        )
    margin = args.margin_mode or ""
    if args.mt5_path is None:
        return Mt5(default_path(args.name), portable=True, margin_mode=margin)
    return Mt5(_checked_path(args.mt5_path), portable=args.portable, margin_mode=margin)


def _checked_path(path: str) -> str:
    example = rf"e.g. '{default_path('gold')}'"
    if not path.isprintable() or len(path) > _PATH_CHARS_MAX:
        raise UsageError(f"--mt5-path must be one plain path: write it out, {example}", "MT5")
    windows, posix = PureWindowsPath(path), PurePosixPath(path)
    if not (windows.is_absolute() or posix.is_absolute()):
        raise UsageError(
            f"--mt5-path {path!r} does not say where it starts: write the whole path, {example}",
            "MT5",
        )
    if windows.name.lower() != _PROGRAM:
        raise UsageError(
            f"--mt5-path {path!r} must end with {_PROGRAM}: name the program itself, {example}",
            "MT5",
        )
    return path


def tell_mt5(ctx: Context, plan: Plan) -> None:
    """Say what to do on the terminal's machine before the server is started there."""
    if plan.mt5 is None:
        return
    out, live = ctx.out, plan.terminal is not None
    flag = " /portable" if plan.mt5.portable else ""
    steps = [
        f"start {plan.mt5.path}{flag}",
        f"log in{_as_whom(plan)}: File > Login to Trade Account, save the password",
        f"show {' '.join(plan.symbols)} in Market Watch, spelled exactly so",
    ]
    if live:
        steps.append(
            "press Algo Trading (it turns green); in Tools > Options > Expert Advisors leave "
            "`Disable algorithmic trading via external Python API` empty"
        )
    steps.append("copy server/ there; in that folder run ztb-server doctor, then ztb-server run")
    out.say("on the terminal's machine (docs/windows.md, step by step):")
    for number, step in enumerate(steps, 1):
        out.say(f"  {number}. {step}")
    if not live:
        out.say("  (rehearsal: its prices are real, every fill is the paper broker's)")


def _as_whom(plan: Plan) -> str:
    if plan.terminal is None:
        return ""
    login, server, kind = plan.terminal
    return f" as {login} at {server} ({kind}, {plan.mt5.margin_mode if plan.mt5 else ''})"

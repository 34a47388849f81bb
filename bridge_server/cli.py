"""`ztb-server`: run, config, doctor, audit, service, version.

Exit codes: 0 fine, 1 ended with orders at the broker or a failed check, 3 usage or configuration.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import msgspec

from bridge_core.protocol.errors import BridgeError, ConfigError
from bridge_server.answers import package_version
from bridge_server.checks import run_checks, show_checks
from bridge_server.record import audit
from bridge_server.services import KINDS, service_text
from bridge_server.settings import Overrides, ServerSettings, load_settings
from bridge_server.wiring import build_server

__all__ = ["main"]


# What stands behind an option that does not exist may be a password: it is not repeated.
_UNKNOWN: Final = re.compile(r"unrecognized arguments: (.*)", re.DOTALL)
_FLAG: Final = re.compile(r"(?<!\S)--[a-z][a-z0-9-]*")
_CHOICE: Final = re.compile(r"invalid choice: .*? \(choose", re.DOTALL)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        unknown = _UNKNOWN.fullmatch(message)
        if unknown is not None:
            flags = _FLAG.findall(unknown[1])
            message = f"there is no option {' '.join(flags)}" if flags else "words too many"
        self.print_usage(sys.stderr)
        self.exit(3, f"{self.prog}: {_CHOICE.sub('invalid choice (choose', message)}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ztb-server", description="The terminal's side of the bridge.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for name, text in (
        ("run", "serve one account until stopped"),
        ("config", "show the merged configuration"),
        ("doctor", "check everything a start needs, each finding with its fix"),
        ("audit", "verify the hash chain of the record"),
        ("service", "print a service definition; nothing is installed"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--config", type=Path, default=Path("server.toml"), metavar="FILE")
        command.add_argument("--host", help="IP address to listen on")
        command.add_argument("--port", type=int, help="P: requests; events on P+1, EA on P+2")
        command.add_argument(
            "--signature-ttl", type=int, metavar="S", help="longest ttl accepted (1 to 10 s)"
        )
        if name == "run":
            command.add_argument("--debug", action="store_true", help="log tracebacks as well")
        if name in ("config", "doctor", "audit"):
            command.add_argument("--json", action="store_true", help="one JSON object on stdout")
        if name == "service":
            command.add_argument("--kind", choices=KINDS, default=KINDS[0])
    commands.add_parser("version", help="show the version")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = _parser().parse_args(argv)
    if args.command == "version":
        print(f"ztb-server {package_version()}")
        return 0
    try:
        return _dispatch(args)
    except ConfigError as error:
        return _refused(args, error.code, error.detail or str(error), 3)
    except BridgeError as error:
        return _refused(args, error.code, error.detail or str(error), 1)


def _refused(args: argparse.Namespace, code: str, detail: str, exit_code: int) -> int:
    if getattr(args, "json", False):
        print(json.dumps({"schema": "ztb.error/1", "code": code, "detail": detail}))
    print(f"ztb-server: {detail}", file=sys.stderr)
    return exit_code


def _dispatch(args: argparse.Namespace) -> int:
    flags = Overrides(host=args.host, port=args.port, signature_ttl_s=args.signature_ttl)
    path: Path = args.config
    if args.command == "doctor":
        return show_checks(run_checks(path, flags), as_json=args.json)
    settings = load_settings(path, flags)
    base = path.resolve().parent
    if args.command == "run":
        return _run(settings, base, debug=args.debug)
    if args.command == "audit":
        return audit(base / settings.state / "journal.db", as_json=args.json)
    if args.command == "service":
        print(service_text(args.kind, settings.account, path.resolve()))
        return 0
    return _config(settings, as_json=args.json)


def _run(settings: ServerSettings, base: Path, *, debug: bool) -> int:
    server = build_server(settings, base, debug=debug)

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.service.ask_stop()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # SIGBREAK: Ctrl-Break and services on Windows
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, stop)
    return server.run()


def _config(settings: ServerSettings, *, as_json: bool) -> int:
    merged = msgspec.to_builtins(settings)
    if as_json:
        print(msgspec.json.encode({"schema": "ztb.server.config/1", **merged}).decode())
        return 0
    for line in _lines(merged, ""):
        print(line)
    return 0


def _lines(table: dict[str, object], prefix: str) -> list[str]:
    lines: list[str] = []
    for name, value in table.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix}{name} = {value}")
    return lines

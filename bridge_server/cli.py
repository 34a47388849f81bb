"""`ztb-server`: run, config, doctor, audit, alerts, service, version.

Exit codes: 0 fine, 1 ended with orders at the broker or a failed check, 3 usage or configuration;
`alerts test`: 0 taken, 1 refused by the receiver, 2 nobody answered.
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

from bridge_core.host.alert_settings import load_destination
from bridge_core.host.alert_trial import OFF, try_out
from bridge_core.host.webhook import Origin
from bridge_core.protocol.errors import BridgeError, ConfigError
from bridge_server.answers import package_version
from bridge_server.checks import run_checks, show_checks
from bridge_server.checks_mt5 import Visit
from bridge_server.policy import untraded
from bridge_server.record import audit
from bridge_server.services import (
    KINDS,
    service_text,
    service_warning,
    this_user,
    usual_kind,
    write_service,
)
from bridge_server.settings import Overrides, ServerSettings, load_settings, make_policy
from bridge_server.wiring import Server, build_server

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
        ("alerts", "send a test alert to the webhook of [alerts]"),
        ("service", "print a service definition; nothing is installed"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--config", type=Path, default=Path("server.toml"), metavar="FILE")
        command.add_argument("--host", help="IP address to listen on")
        command.add_argument("--port", type=int, help="P: requests; events on P+1, EA on P+2")
        command.add_argument(
            "--signature-ttl", type=int, metavar="S", help="longest ttl accepted (1 to 10 s)"
        )
        command.add_argument("--mt5-login", type=int, metavar="N", help="must agree with the file")
        command.add_argument("--mt5-server", metavar="NAME", help="must agree with the file")
        command.add_argument("--mt5-path", metavar="EXE", help="the terminal's terminal64.exe")
        if name == "run":
            command.add_argument("--debug", action="store_true", help="log tracebacks as well")
        if name == "alerts":
            command.add_argument("action", choices=("test",), help="the only one")
        if name in ("config", "doctor", "audit", "alerts"):
            command.add_argument("--json", action="store_true", help="one JSON object on stdout")
        if name == "service":
            command.add_argument("action", nargs="?", choices=("print",), help="the only one")
            command.add_argument("--kind", choices=KINDS, help="(what fits here)")
            command.add_argument(
                "--out", type=Path, metavar="FILE", help="write it there, as its reader wants it"
            )
        if name == "doctor":
            command.add_argument(
                "--fix-permissions", action="store_true", help="close key files to others first"
            )
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
    flags = Overrides(
        host=args.host, port=args.port, signature_ttl_s=args.signature_ttl,
        mt5_login=args.mt5_login, mt5_server=args.mt5_server, mt5_path=args.mt5_path,
    )  # fmt: skip
    path: Path = args.config
    if args.command == "doctor":
        visit = Visit(say=_talk)
        found = run_checks(path, flags, fix_permissions=args.fix_permissions, visit=visit)
        return show_checks(found, as_json=args.json)
    settings = load_settings(path, flags)
    base = path.resolve().parent
    if args.command == "run":
        return _run(settings, base, debug=args.debug)
    if args.command == "audit":
        return audit(base / settings.state / "journal.db", as_json=args.json)
    if args.command == "alerts":
        return _alerts(settings, path, as_json=args.json)
    if args.command == "service":
        return _service(settings, path.resolve(), args.kind, args.out)
    return _config(settings, base, as_json=args.json)


def _talk(text: str) -> None:
    print(f"ztb-server: {text}", file=sys.stderr, flush=True)


def _service(settings: ServerSettings, config: Path, kind: str | None, out: Path | None) -> int:
    kind = kind or usual_kind(settings.backend)
    text = service_text(kind, settings.account, config, this_user())
    warning = service_warning(kind, settings.backend, config)
    if warning:
        _talk(warning)
    if out is None:
        print(text)
    else:
        write_service(out, kind, text)
    return 0


class _Stop:
    """What a signal to stop does, from the first moment of a start on."""

    def __init__(self) -> None:
        self._asked = False
        self._server: Server | None = None

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self._server is not None:
            self._server.service.ask_stop()
        elif self._asked:
            raise KeyboardInterrupt  # asked twice: a start that hangs is left where it is
        self._asked = True

    def reaches(self, server: Server) -> None:
        """Pass on what was and what will be asked."""
        self._server = server
        if self._asked:
            server.service.ask_stop()


def _run(settings: ServerSettings, base: Path, *, debug: bool) -> int:
    stop = _Stop()
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # SIGBREAK: Ctrl-Break and services on Windows
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, stop)
    server = build_server(settings, base, debug=debug)
    stop.reaches(server)
    return server.run()


def _alerts(settings: ServerSettings, path: Path, *, as_json: bool) -> int:
    if settings.alerts is None:
        raise ConfigError("NO_ALERTS", OFF.format(file=path))
    destination = load_destination(settings.alerts, path.resolve().parent)
    tried = try_out(destination, Origin(settings.account, settings.mode, "server"))
    if as_json:
        print(json.dumps({"schema": "ztb.server.alerts/1", **tried._asdict()}))
        return tried.exit
    print(tried.finding)
    for name, text in (("answer", tried.answer), ("fix", tried.fix)):
        if text:
            _talk(f"{name}: {text}")
    return tried.exit


def _config(settings: ServerSettings, base: Path, *, as_json: bool) -> int:
    merged, policy = msgspec.to_builtins(settings), make_policy(settings, base)
    if as_json:
        missing = [{"add": add, "symbols": symbols} for add, symbols in untraded(policy).items()]
        told = {"schema": "ztb.server.config/1", **merged, "not_tradable": missing}
        print(msgspec.json.encode(told).decode())
        return 0
    for line in _lines(merged, ""):
        print(line)
    for add, symbols in untraded(policy).items():
        print(f"# not tradable: {', '.join(symbols)}; add: {add}")
    return 0


def _lines(table: dict[str, object], prefix: str) -> list[str]:
    lines: list[str] = []
    for name, value in table.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix}{name} = {value}")
    return lines

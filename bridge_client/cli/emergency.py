"""`ztb halt` of several accounts, and with `--flatten`: halted first, then asked, then closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge_client.accounts import Accounts, Offline
from bridge_client.cli.confirm import agree
from bridge_client.cli.exits import Exit, UsageError, exit_of_outcome
from bridge_client.cli.output import Answer
from bridge_client.cli.places import Place, config_path, open_first_free
from bridge_client.connector import Connector
from bridge_client.emergency import Stopped
from bridge_client.settings import load_settings
from bridge_core.protocol.codes import Status
from bridge_core.protocol.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge_client.cli.main import Context
    from bridge_client.cli.output import Console

__all__ = ["exit_of_stop", "stop_accounts"]

_FILE: Final = "accounts.toml"
_Outcome = Stopped | Offline


def exit_of_stop(outcome: _Outcome) -> Exit:
    """Return one account's exit code: halted and flat, or what is worst about it."""
    if isinstance(outcome, Offline):
        return Exit.NOTHING_SENT
    halted = exit_of_outcome(outcome.halted.status, outcome.halted.code, outcome.halted.by)
    if outcome.reason:
        return max(halted, Exit.NOTHING_SENT)
    done = outcome.flattened
    if done is None:
        return halted
    # PARTIAL is no success here: something is still open.
    part = Exit.REJECTED if done.status is Status.PARTIAL else Exit.OK
    return max(halted, part, exit_of_outcome(done.status, done.code, done.by))


def stop_accounts(ctx: Context) -> Answer:
    """Halt every account at once; with --flatten also close everything, after asking.

    Raises:
        UsageError: nobody agreed to close; every account is halted all the same.
    """
    args = ctx.args
    with _accounts(ctx) as accounts:
        said = _Said(ctx.out)
        names = [*accounts, *accounts.broken]
        if not args.flatten or not args.yes:
            ended = accounts.halt(args.reason, told=said.tell)
        if args.flatten and not args.yes:
            _ask(ctx, names, ended)
        if args.flatten:
            ended = accounts.halt(args.reason, flatten=True, told=said.tell)
    return _report(ctx.out, {name: ended[name] for name in names})


def _accounts(ctx: Context) -> Accounts:
    args = ctx.args

    def open_one(path: Path) -> Connector:
        if path.is_dir():
            path /= "connector.toml"
        # To halt needs no name, so none can be in the way.
        place = Place(path, load_settings(path))
        return open_first_free(place) if args.flatten else Connector.from_config(path)

    if args.all:
        file = Path(args.accounts or _FILE)
        if not file.is_file():
            raise UsageError(
                f"there is no file {file}: --accounts names one with lines of "
                '`name = "FOLDER/connector.toml"`',
                "NO_CONFIG",
            )
        return Accounts.from_config(file, opener=open_one)
    if args.accounts:
        raise UsageError("--accounts goes with --all")
    path = config_path(args)
    name = load_settings(path).account
    try:
        return Accounts({name: open_one(path)}, {})
    except ConfigError as error:
        if error.code != "CLIENT_IN_USE":
            raise
        return Accounts({}, {name: str(error)}, {name: path})


def _ask(ctx: Context, names: list[str], ended: Mapping[str, _Outcome]) -> None:
    halted = sum(isinstance(one, Stopped) and one.done for one in ended.values())
    ctx.out.warn(f"accounts: {', '.join(names)}; halted: {halted} of {len(names)}")
    ctx.out.warn("now cancel every pending order and close every position of all of them")
    try:
        agree(ctx, "flatten", "Type flatten to go on: ")
    except UsageError as error:
        raise UsageError(
            f"{halted} of {len(names)} accounts are halted, and nothing was closed: "
            "add --yes, or type the word",
            error.code,
        ) from error


class _Said:
    """Says of each account what became of it as soon as it is known."""

    def __init__(self, out: Console) -> None:
        self._out = out

    def tell(self, name: str, outcome: _Outcome) -> None:
        """Say it, in the account's own thread."""
        self._out.say(f"{name}: {_line(outcome)}")


def _line(outcome: _Outcome) -> str:
    if isinstance(outcome, Offline):
        return f"OFFLINE, {outcome.reason}"
    halted = "halted" if outcome.halted.status == Status.OK else f"HALT {outcome.halted.status}"
    said = f"{halted} in {outcome.halted_s:.2f} s"
    done = outcome.flattened
    if done is not None:
        said += f", FLATTEN {done.status}: {len(done.children)} tickets in {outcome.seconds:.2f} s"
    return said


def _report(out: Console, ended: Mapping[str, _Outcome]) -> Answer:
    out.table(("ACCOUNT", "HALT", "FLATTEN", "TICKETS", "SECONDS"), map(_row, ended.items()))
    children = [
        (name, child.ticket, child.op, child.status, child.code)
        for name, one in ended.items()
        if isinstance(one, Stopped) and one.flattened is not None
        for child in one.flattened.children
    ]
    if children:
        out.line()
        out.table(("ACCOUNT", "TICKET", "OP", "STATUS", "CODE"), children)
    for name, one in ended.items():
        if isinstance(one, Offline):
            out.warn(f"{name}: it was not reached, so it is as it was: {one.reason}")
        else:
            for sentence in one.todo:
                out.warn(f"{name}: {sentence}")
    code = max((exit_of_stop(one) for one in ended.values()), default=Exit.OK)
    return Answer(code, {"accounts": dict(ended)})


def _row(pair: tuple[str, _Outcome]) -> tuple[object, ...]:
    name, one = pair
    if isinstance(one, Offline):
        return (name, "OFFLINE", "", "", "")
    done = one.flattened
    flattened = "" if done is None else done.status
    tickets = "" if done is None else len(done.children)
    return (name, one.halted.status, flattened, tickets, f"{one.seconds:.2f}")

"""Several accounts at once: accounts.toml names one connector.toml each.

An account that is away is offline with its reason, and the others work.
"""

from __future__ import annotations

import os
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec
from msgspec import Struct

from bridge_client.connector import Connector
from bridge_client.emergency import STOP_WAIT_S, Stopped, stop_account
from bridge_client.views import Account
from bridge_core.protocol.errors import BridgeError, ConfigError

__all__ = ["Accounts", "Offline", "Stopped", "Summary"]

_CONNECT_S = 3.0
_R = TypeVar("_R")


class Offline(Struct, frozen=True):
    """An account that could not be asked, and why."""

    name: str
    reason: str


class Summary(Struct, frozen=True, kw_only=True):
    """One account in a line: what it has, its trading state, or why it is offline."""

    name: str
    account: Account | None = None
    state: str = "OFFLINE"
    positions: int = 0
    unfinished: int = 0
    reason: str = ""


class _Done(Generic[_R]):
    """What a call gave; one that ended by an error of ours is not left out."""

    def __init__(self, name: str) -> None:
        self.value: _R | Offline = Offline(name, "BUG: report it")


class Accounts(Mapping[str, Connector]):
    """A mapping of connectors by name, and a context manager."""

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        broken: Mapping[str, str],
        busy: Mapping[str, Path] | None = None,
    ) -> None:
        """Prefer `from_config`.

        `broken` says which accounts could not even be opened, and why; `busy` names the files of
        those among them whose client name is in use, which can still be halted.
        """
        self._connectors = dict(connectors)
        self._broken = dict(broken)
        self._places = dict(busy or {})

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str],
        client: str | None = None,
        *,
        opener: Callable[[Path], Connector] | None = None,
    ) -> Accounts:
        """Open every account of an accounts.toml: lines of `name = "path/connector.toml"`.

        `opener` opens one account's file in another way than by `client`.

        Raises:
            ConfigError: the file itself is wrong. An account whose own files are is offline.
        """
        file = Path(path)
        connectors: dict[str, Connector] = {}
        broken: dict[str, str] = {}
        busy: dict[str, Path] = {}
        for name, place in _lines(file).items():
            try:
                given = file.parent / place
                connectors[name] = (
                    opener(given) if opener else Connector.from_config(given, client=client)
                )
            except BridgeError as error:
                broken[name] = str(error)
                if error.code == "CLIENT_IN_USE":
                    busy[name] = file.parent / place
        return cls(connectors, broken, busy)

    def __getitem__(self, name: str) -> Connector:
        """Return an account's connector.

        Raises:
            ConfigError: it could not be opened; says why.
            KeyError: there is no such account.
        """
        if name in self._broken:
            raise ConfigError("OFFLINE", f"account {name}: {self._broken[name]}")
        return self._connectors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._connectors)

    def __len__(self) -> int:
        return len(self._connectors)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connector."""
        for connector in self._connectors.values():
            connector.close()

    @property
    def broken(self) -> dict[str, str]:
        """Return the accounts that could not be opened, each with its reason."""
        return dict(self._broken)

    @property
    def offline(self) -> dict[str, str]:
        """Return the accounts that do not answer now, each with its reason."""
        found = self.map(lambda connector: connector.connect(_CONNECT_S))
        return {name: o.reason for name, o in found.items() if isinstance(o, Offline)}

    def map(self, fn: Callable[[Connector], _R]) -> dict[str, _R | Offline]:
        """Call `fn` for every account at the same time; one that is away gives Offline."""
        calls = {name: partial(fn, one) for name, one in self._connectors.items()}
        found: dict[str, _R | Offline] = {n: Offline(n, why) for n, why in self._broken.items()}
        return found | _at_once(calls, lambda _name, _found: None)

    def summary(self) -> list[Summary]:
        """Return one line for each account, also for those that are away."""
        found = self.map(_sum_up)
        return [
            Summary(name=name, reason=one.reason)
            if isinstance(one, Offline)
            else msgspec.structs.replace(one, name=name)
            for name, one in found.items()
        ]

    def halt(
        self,
        reason: str,
        flatten: bool = False,  # noqa: FBT001, FBT002
        *,
        wait: float = STOP_WAIT_S,
        told: Callable[[str, Stopped | Offline], None] = lambda _name, _outcome: None,
    ) -> dict[str, Stopped | Offline]:
        """Stop everything: halt every account at the same time, and flatten it too if asked.

        Each account has a thread of its own, so one that hangs delays no other; the call returns
        when all are stopped, or about `wait` seconds after it began. An account whose client name
        another process uses is halted as well, but not flattened.

        Args:
            reason: goes into each server's record.
            flatten: also cancel every pending order and close every position.
            wait: seconds for each account.
            told: called for each account, in its thread, as soon as its outcome is known.
        """

        def stop(connector: Connector) -> Stopped:
            return stop_account(connector, reason, flatten=flatten, wait=wait)

        def without_name(name: str) -> Stopped:
            with Connector.from_config(self._places[name]) as visitor:
                return stop(visitor)

        calls: dict[str, Callable[[], Stopped]] = {
            name: partial(stop, one) for name, one in self._connectors.items()
        }
        calls |= {
            name: partial(without_name, name) for name in self._broken if name in self._places
        }
        found = _at_once(calls, told)
        gone = {n: Offline(n, why) for n, why in self._broken.items() if n not in found}
        for name, one in gone.items():
            told(name, one)
        return {**gone, **found}


def _at_once(
    calls: Mapping[str, Callable[[], _R]], told: Callable[[str, _R | Offline], None]
) -> dict[str, _R | Offline]:
    """Make every call in a thread of its own, and return what each gave."""
    slots: dict[str, _Done[_R]] = {name: _Done(name) for name in calls}

    def run(name: str) -> None:
        slots[name].value = found = _called(name, calls[name])
        told(name, found)

    threads = [threading.Thread(target=run, args=(name,)) for name in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: slot.value for name, slot in slots.items()}


def _called(name: str, call: Callable[[], _R]) -> _R | Offline:
    try:
        return call()
    except BridgeError as error:
        return Offline(name, str(error))


def _sum_up(connector: Connector) -> Summary:
    sync = connector.sync_all()
    return Summary(
        name="",
        account=sync.account,
        state=sync.state,
        positions=len(sync.positions),
        unfinished=len(connector.unfinished()),
    )


def _lines(file: Path) -> dict[str, str]:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError("CONFIG", f"{file}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("CONFIG", f"{file}: is not TOML, {error}; mend that line") from None
    for name, place in table.items():
        if not isinstance(place, str):
            raise ConfigError(
                "CONFIG", f'{file}: write `{name} = "PATH/connector.toml"`, nothing else'
            )
    return table

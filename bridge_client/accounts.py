"""Several accounts at once: accounts.toml names one connector.toml each.

An account that is away is offline with its reason, and the others work.
"""

from __future__ import annotations

import os
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec
from msgspec import Struct

from bridge_client.connector import Connector
from bridge_client.result import OrderResult
from bridge_client.views import Account, StateResult
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


class Stopped(Struct, frozen=True, kw_only=True):
    """What stopping one account gave; `flattened` only when asked for."""

    halted: StateResult
    flattened: OrderResult | None = None


class _Done(Generic[_R]):
    def __init__(self) -> None:
        self.value: _R | Offline | None = None


class Accounts(Mapping[str, Connector]):
    """A mapping of connectors by name, and a context manager."""

    def __init__(self, connectors: Mapping[str, Connector], broken: Mapping[str, str]) -> None:
        """Prefer `from_config`. `broken` says which accounts could not even be opened, and why."""
        self._connectors = dict(connectors)
        self._broken = dict(broken)

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], client: str | None = None) -> Accounts:
        """Open every account of an accounts.toml: lines of `name = "path/connector.toml"`.

        Raises:
            ConfigError: the file itself is wrong. An account whose own files are is offline.
        """
        file = Path(path)
        connectors: dict[str, Connector] = {}
        broken: dict[str, str] = {}
        for name, place in _lines(file).items():
            try:
                connectors[name] = Connector.from_config(file.parent / place, client=client)
            except BridgeError as error:
                broken[name] = str(error)
        return cls(connectors, broken)

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
    def offline(self) -> dict[str, str]:
        """Return the accounts that do not answer now, each with its reason."""
        found = self.map(lambda connector: connector.connect(_CONNECT_S))
        return {name: o.reason for name, o in found.items() if isinstance(o, Offline)}

    def map(self, fn: Callable[[Connector], _R]) -> dict[str, _R | Offline]:
        """Call `fn` for every account at the same time; one that is away gives Offline."""
        slots: dict[str, _Done[_R]] = {name: _Done() for name in self._connectors}
        threads = [
            threading.Thread(target=_call, args=(fn, name, self._connectors[name], slot))
            for name, slot in slots.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found: dict[str, _R | Offline] = {n: Offline(n, why) for n, why in self._broken.items()}
        for name, slot in slots.items():
            found[name] = slot.value  # type: ignore[assignment]
        return found

    def summary(self) -> list[Summary]:
        """Return one line for each account, also for those that are away."""
        found = self.map(_sum_up)
        return [
            Summary(name=name, reason=one.reason)
            if isinstance(one, Offline)
            else msgspec.structs.replace(one, name=name)
            for name, one in found.items()
        ]

    def halt(self, reason: str, flatten: bool = False) -> dict[str, Stopped | Offline]:  # noqa: FBT001, FBT002
        """Halt every account at the same time, and flatten it too if asked."""

        def stop(connector: Connector) -> Stopped:
            halted = connector.halt(reason)
            done = connector.flatten(reason) if flatten else None
            return Stopped(halted=halted, flattened=done)

        return self.map(stop)


def _call(fn: Callable[[Connector], _R], name: str, connector: Connector, slot: _Done[_R]) -> None:
    try:
        slot.value = fn(connector)
    except BridgeError as error:
        slot.value = Offline(name, str(error))


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

"""The client's connection: one pipe, one last error, one call at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.fake_metatrader5 import arguments
from tests.support.fake_metatrader5.arguments import BadArgumentError, LateError
from tests.support.fake_metatrader5.facts import FACTS
from tests.support.fake_metatrader5.pipe import Ask, Pipe, pipe_name

__all__ = ["Client", "Fails", "RefusedError"]

_POLL_S: Final = 0.5
_POLLS: Final = 200
_STATUS_S: Final = 0.1
_CREDENTIALS: Final[tuple[str, ...]] = ("login", "password", "server")
_BUILD_MIN: Final = 2_364
_ONE_TIME: Final = "Unsupported authorization mode, OTP or certificate password needed"
_VERSIONED: Final = ("symbols_total", "symbols_get")

Build = Callable[[Any, dict[str, Any]], Any]


class RefusedError(Exception):
    """A call has failed: the error, and whether the pipe is dropped for good."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(code)
        self.error = (code, text or FACTS.errors[code])


class Fails(NamedTuple):
    """What a function returns on a failure of the call, on a bad argument; whether it tells."""

    refused: Any = None
    bad: Any = None
    silent: bool = False


class Client:
    """The state behind the module."""

    def __init__(self) -> None:
        self.error = (0, "")
        self.pipe: Pipe | None = None
        self.scale = 1.0
        self._broken = False

    def run(self, name: str, parse: Callable[[], Any], build: Build, fails: Fails) -> Any:
        """Make one call: arguments, connection, answer; the error is set anew by each."""
        self.error = (1, FACTS.errors[1])
        late: LateError | None = None
        value = fails.refused
        try:
            wanted = parse()
            late = next((each for each in wanted.values() if isinstance(each, LateError)), None)
            if name in _VERSIONED:
                self._version()
            sent = {key: int(v) if isinstance(v, LateError) else v for key, v in wanted.items()}
            value = build(self.ask(name, sent), wanted)
        except BadArgumentError as bad:
            self.refuse(name, bad)
            value = fails.bad
        except RefusedError as refused:
            self.error = self.error if fails.silent else refused.error
        if late is not None:
            raise _system_error(name) from late.pending
        return value

    def _version(self) -> None:
        """Look at the terminal's build, which is 0 where nobody answers.

        Raises:
            RefusedError: it is too old for this package.
        """
        try:
            build = self.ask("version", {})[1]
        except RefusedError:
            build = 0
        if build < _BUILD_MIN:
            raise RefusedError(-5)

    def refuse(self, name: str, bad: BadArgumentError) -> None:
        """Set the error of an argument.

        Raises:
            SystemError: the package also left a Python error behind.
        """
        self.error = (-2, str(bad))
        if bad.pending is not None:
            raise _system_error(name) from bad.pending

    def ask(self, name: str, args: dict[str, Any]) -> Any:
        """Return the terminal's value.

        Raises:
            RefusedError: there is none.
        """
        if self.pipe is None:
            raise RefusedError(-10004)
        if self._broken or not self.pipe.send(Ask(name, args, os.getpid())):
            raise RefusedError(-10001)  # the handle is kept: so it will be until initialize
        answer = self.pipe.receive()
        if answer is None:
            self.hang_up()
            raise RefusedError(-10002)
        if answer.word == "unsent":
            self._broken = True
            raise RefusedError(-10001)
        if answer.word == "unread":
            self._broken = True
            raise RefusedError(-10002)
        if answer.word == "gone":
            self.hang_up()
            raise RefusedError(-10004)
        if answer.name != name:
            raise RefusedError(-10000)
        if answer.code != 1:
            raise RefusedError(answer.code, answer.text)
        return answer.value

    def hang_up(self) -> None:
        """Close the pipe of the process."""
        if self.pipe is not None:
            self.pipe.close()
        self.pipe, self._broken = None, False

    # --- initialize and login -------------------------------------------------------------------

    def initialize(self, *args: Any, **named: Any) -> bool:
        self.error = (1, FACTS.errors[1])
        try:
            wanted = arguments.initialize(args, named)
            self.hang_up()
            self._connect(wanted)
            self._authorise(wanted)
        except BadArgumentError as bad:
            self.refuse("initialize", bad)
        except RefusedError as refused:
            self.error = refused.error
        if self.error[0] != 1:
            self.hang_up()
        return self.error[0] == 1

    def login(self, *args: Any, **named: Any) -> bool:
        self.error = (1, FACTS.errors[1])
        try:
            self._authorise(arguments.login(args, named))
        except BadArgumentError as bad:
            self.refuse("login", bad)
        except RefusedError as refused:
            self.error = refused.error
        return self.error[0] == 1

    def shutdown(self) -> bool:
        self.error = (1, FACTS.errors[1])
        self.hang_up()
        return True

    def _connect(self, wanted: dict[str, Any]) -> None:
        if "path" not in wanted:
            raise _no_init("MetaTrader 5 x64 not found")
        path = wanted["path"]
        self.pipe = Pipe.open(pipe_name(path))
        if self.pipe is None:
            self.pipe = self._started(path, portable=wanted["portable"])
        # Another client may hold the terminal: there is no end to this wait.
        self.scale = self.ask("hello", {})["scale"]

    def _started(self, path: str, *, portable: bool) -> Pipe:
        """Start the terminal and wait for its pipe: 200 looks, one each half second."""
        launcher = Pipe.open(pipe_name(path, "launcher"))
        if launcher is None:
            raise _no_init(f"Process create failed '{path}'")
        try:
            launcher.send(Ask("launch", {"portable": portable}, os.getpid()))
            begun = launcher.receive()
            if begun is None or begun.code != 1 or not Path(path).is_file():
                raise _no_init(f"Process create failed '{path}'")
            for _ in range(_POLLS):
                pipe = Pipe.open(pipe_name(path))
                if pipe is not None:
                    return pipe
                launcher.sleep(_POLL_S * begun.value["scale"])
        finally:
            launcher.close()
        raise _no_init("Pipe server didn't answer in 60 sec")

    def _log_in(self, given: dict[str, Any]) -> None:
        try:
            self.ask("login", given)
        except RefusedError as refused:
            if refused.error[0] != -7:
                raise
            raise RefusedError(-7, _ONE_TIME) from None

    def _authorise(self, wanted: dict[str, Any]) -> None:
        given = {key: wanted[key] for key in _CREDENTIALS if key in wanted}
        if given:
            self._log_in(given)
        limit_ms = wanted.get("timeout") or FACTS.limits["default_timeout_ms"]
        looks = max(1, round(limit_ms / 1000 / _STATUS_S))
        for _ in range(looks):
            match self.ask("status", {}):
                case "ready":
                    return
                case "refused":
                    raise RefusedError(-6)
            assert self.pipe is not None
            self.pipe.sleep(_STATUS_S * self.scale)
        raise RefusedError(-10005)


def _system_error(name: str) -> SystemError:
    return SystemError(f"<built-in function {name}> returned a result with an exception set")


def _no_init(reason: str) -> RefusedError:
    return RefusedError(-10003, f"IPC initialize failed, {reason}")

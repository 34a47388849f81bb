"""The terminal dies in the middle of an order, and `initialize` fails in every way it can.

Until it is back the order is UNKNOWN, HEALTH says what to do, and no other order is sent; then the
broker's records end it. The reasons are those of `last_error` after a failed `initialize`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pytest

from bridge_client import Status
from tests.mt5.trial import Trial, hop_of, trial_in
from tests.support.fake_metatrader5 import FakeTerminal, Launch
from tests.support.fake_metatrader5.faults import EXECUTED
from tests.support.running import wait_until

_Act = Callable[[FakeTerminal], object]
_LOGIN: Final = (5_001_234, "Fake-Demo")
# Workers start as they do for a user: that is what is looked at here.
_CONNECT: Final = {"ZTB_TEST_CONNECT_MS": "3000", "ZTB_TEST_WARM": "0"}


class Away(NamedTuple):
    """What is wrong, what HEALTH must say of it, and what mends it ("": it comes by itself)."""

    act: _Act
    why: str
    back: _Act


def _set(**fields: object) -> _Act:
    return lambda terminal: vars(terminal).update(fields)


AWAY: Final[dict[str, Away]] = {
    "-10003, no program": Away(
        lambda terminal: terminal.close(), "mend mt5.path", lambda terminal: terminal.start()
    ),
    "-10003, cannot be started": Away(
        _set(launch=Launch(refuse=True)), "program is not there", lambda terminal: terminal.start()
    ),
    "-10003, does not come up": Away(
        _set(launch=Launch(hang=True)), "start it by hand", lambda terminal: terminal.start()
    ),
    "-10005, not logged in": Away(_set(logged_in=False), "log in by hand", _set(logged_in=True)),
    "nobody's account": Away(
        lambda terminal: terminal.login_as(login=0), "not logged in",
        lambda terminal: terminal.login_as(),
    ),
    "starts slowly": Away(_set(launch=Launch(after_s=50)), "terminal", lambda _: None),
    "hangs in initialize": Away(_set(clients_max=0), "is it frozen?", _set(clients_max=1)),
}  # fmt: skip
# With a password in the .env file the terminal is logged in, if that works.
REFUSED: Final[dict[str, Away]] = {
    "-6, wrong password": Away(
        _set(logged_in=False, passwords={_LOGIN: "another"}), "check MT5_PASSWORD",
        _set(passwords={_LOGIN: "s3cret-words"}),
    ),
    "-7, one-time password": Away(
        _set(logged_in=False, one_time_password=True), "one-time",
        _set(logged_in=True, one_time_password=False),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial_in(tmp_path_factory.mktemp("connect"), _CONNECT) as trial:
        yield trial


def _away(trial: Trial, away: Away) -> None:
    terminal, bridge = trial.house.terminal, trial.bridge
    terminal.launch = Launch()

    def die() -> None:
        trial.at(EXECUTED, lambda: away.act(terminal), kind="kill_terminal")

    def back() -> None:
        wait_until(lambda: hop_of(bridge)[0] == "down" and away.why in hop_of(bridge)[1], 20)
        refused = bridge.buy("EURUSD", 0.01)
        assert refused.status is Status.DENIED
        assert refused.code in ("BROKER_DOWN", "REDUCE_ONLY", "UNKNOWN_ORDER_OPEN"), refused
        away.back(terminal)

    ended = trial.meet("buy", die, back)
    assert (ended.word, ended.runs, ended.sent) == ("FILLED", 1, 1), ended
    assert ended.result.evidence == "TAG"
    trial.heals()


_SLOW = ("-10003, does not come up",)


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.long) if one in _SLOW else one for one in AWAY]
)
def test_an_order_outlives_a_terminal_that_does_not_come_back(trial: Trial, name: str) -> None:
    _away(trial, AWAY[name])


def test_a_refused_login_is_told_and_a_right_one_heals_it(trial: Trial) -> None:
    _with_a_password(trial)
    _away(trial, REFUSED["-6, wrong password"])


@pytest.mark.long
def test_an_account_with_one_time_passwords_is_told_so(trial: Trial) -> None:
    _with_a_password(trial)
    _away(trial, REFUSED["-7, one-time password"])


def _with_a_password(trial: Trial) -> None:
    """Last in this file: the server starts anew, and never says what its password is."""
    house = trial.house
    config = house.folder / "server" / "server.toml"
    text = config.read_text("utf-8")
    if 'env = ".env"' not in text:
        assert "mt5 = {" in text
        config.write_text(text.replace("mt5 = {", 'mt5 = { env = ".env",'), "utf-8")
        env = config.with_name(".env")
        env.touch(mode=0o600)
        env.write_text("MT5_PASSWORD=s3cret-words\n", "utf-8")
        house.close()
        house.start_server()
        house.ready()
    said = house.server_log() + (house.folder / "server/log/server.log").read_text("ascii")
    assert "s3cret-words" not in said

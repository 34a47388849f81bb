"""The terminal shows another account than the journal began with: halt, until an operator says."""

from __future__ import annotations

from msgspec.structs import replace

from bridge_server.core.ports import Snapshot
from tests.support.running import Account, Running, wait_until
from tests.support.scripted_backend import ScriptedBackend


class Switched(ScriptedBackend):
    """A terminal that somebody logs in elsewhere."""

    login = 0

    def snapshot(self) -> Snapshot:
        shot = super().snapshot()
        if not self.login:
            return shot
        return replace(shot, identity=replace(shot.identity, login=self.login))


def test_a_terminal_that_is_logged_in_elsewhere_halts_the_account_and_coming_back_is_not_enough(
    account: Account,
) -> None:
    backend = Switched()
    with Running(account, backend) as running:
        trader = running.ready()
        assert trader.open().status == "FILLED"
        backend.login = 4711
        wait_until(lambda: trader.health().state == "HALTED")
        assert [cause.cause for cause in trader.health().causes] == ["IDENTITY"]
        assert "4711" in trader.health().causes[0].reason
        assert trader.open().code == "HALTED"
        backend.login = 0
        assert trader.open().code == "HALTED"
    with Running(account) as again:
        assert again.client().health().state == "HALTED"  # a latch survives the restart
